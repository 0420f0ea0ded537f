"""Endless loops cost a run what the seed's time allows, not the task's whole timeout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import TASK_TOML, CommandLine, MakeTask

pytestmark = pytest.mark.slow

LOOPS = """
from dataclasses import dataclass

from evolver import Proposal


@dataclass(frozen=True)
class Loops:
    async def propose(self, context):
        body = "def curve(x):\\n    while True:\\n        x += %d\\n" % context.rng.getrandbits(30)
        return Proposal({"curve.py": body.encode()}, "a loop")
"""


def test_endless_loops_end_by_the_seeds_time(cli: CommandLine, make_task: MakeTask) -> None:
    toml = TASK_TOML.replace('use = "mutate"', 'use = "loops.py:Loops"')
    task = make_task(toml=toml.replace("timeout = 10.0", "timeout = 60.0"))
    (task / "loops.py").write_text(LOOPS, encoding="utf-8")
    told = cli.json("run", task, "--evaluations", 9, "--out", "one")
    assert told["evaluations"] == 9
    rows = [json.loads(line) for line in
            cli("export", "one", "--format", "jsonl").stdout.splitlines()]  # fmt: skip
    loops = [row for row in rows if row["status"] == "timeout"]
    assert len(loops) == 8
    assert max(row["seconds"] for row in loops) < 20
    assert "[evaluator] times_seed" in loops[0]["feedback"]
    assert "an evaluation may take" in cli("show", "one").stdout
    assert "an evaluation may take" in Path(cli.folder, "one", "run.log").read_text("utf-8")
    assert "20 times the seed's" in cli("doctor", task).stdout
    assert 0.5 <= cli.json("doctor", task)["limit"] < 20
