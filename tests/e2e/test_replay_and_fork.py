"""Pre-flight, replay and fork: the real command line, a real sandbox, a server on loopback."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from command_line import TASK_TOML, CommandLine, MakeTask, wait_for_line
from llm_answers import Asked, Reply
from llm_server import LLMServer, nudge_a_constant, with_faults

from evolver.search.rules import CURRENT

pytestmark = pytest.mark.slow

SAME = "same programs, scores and order"
PROBED = """
from dataclasses import dataclass

INPUTS = (0.0, 0.3, 0.7, 1.0)


@dataclass(frozen=True)
class Curve:
    def evaluate(self, candidate):
        values = self.probe(candidate)
        return {"error": sum(abs(y - 2.0**x) for x, y in zip(INPUTS, values))}

    def smoke(self, candidate):
        candidate.call("curve", 0.5)

    def probe(self, candidate):
        return [candidate.call("curve", x) for x in INPUTS]
"""
DIFF = TASK_TOML.replace('use = "mutate"', 'use = "diff"')


@pytest.fixture(autouse=True)
def _hash_seeds(cli: CommandLine) -> None:
    """Give each command its own: nothing that is replayed depends on the order of a set."""
    cli.is_cold = True


def careless(asked: Asked) -> str | Reply:
    """Answer with a program that fails at its import, one that changes nothing, or a good one."""
    if "NameError" in asked.user:
        better = f"def curve(x):\n    x = 1.0{asked.number:03} * x\n"
        return _edit("undefined_name\n\n\ndef curve(x):\n", better)
    kind = asked.number % 4
    if kind == 0:
        return _edit("def curve(x):\n", "undefined_name\n\n\ndef curve(x):\n")
    if kind == 1:
        return _edit("def curve(x):\n", "def curve(x):\n    x = 1 * x\n")
    return nudge_a_constant(asked)


def _edit(old: str, new: str) -> str:
    return f"<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"


def rows(run_dir: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(run_dir / "evolver.db")) as database:
        return database.execute(query).fetchall()


def test_a_child_that_fails_at_import_is_mended_and_a_twin_costs_no_evaluation(
    cli: CommandLine, make_task: MakeTask
) -> None:
    task = make_task(toml=DIFF.replace("score.py:score", "score.py:Curve"), score=PROBED)
    with LLMServer(careless) as server:
        words = ("--model", "any", "--api-base", server.address, "--evaluations", 20)
        done = cli.json("run", task, *words, "--out", "one")
    assert done["evaluations"] == 20
    statuses = {status for (status,) in rows(cli.folder / "one", "SELECT status FROM evaluations")}
    assert statuses == {"ok"}
    reasons = [str(row[0]) for row in rows(cli.folder / "one", "SELECT reason FROM outcomes")]
    assert any("computes the same as program" in reason for reason in reasons)
    mended = "SELECT o.verdict FROM preflights p JOIN outcomes o USING (attempt) WHERE turn = 1"
    assert ("evaluated",) in rows(cli.folder / "one", mended)
    assert SAME in cli("replay", "one").stdout


def test_a_killed_run_with_a_model_replays_without_it(
    cli: CommandLine, make_task: MakeTask
) -> None:
    both = TASK_TOML + '\n[[operator]]\nuse = "diff"\n\n[islands]\nnumber = 2\nmigration = 5\n'
    task = make_task(toml=both)
    with LLMServer(with_faults(nudge_a_constant, malformed=0.3), latency=0.02) as server:
        words = ("--model", "any", "--api-base", server.address, "--evaluations", 30)
        process = cli.start("run", task, *words, "--out", "one")
        wait_for_line(process)
        while len(server.asked) < 8:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        cli("resume", "one", "--workers", 1)
    assert SAME in cli("replay", "one").stdout  # the server is gone
    found = cli.json("replay", "one", "--re-evaluate")
    assert found["same"]
    assert found["measured_again"] == 30

    forked = cli.json("fork", "one", "--at", 12, "--seed", 5, "--evaluations", 12, "--task", task,
                      "--out", "two")  # fmt: skip
    assert forked["attempts"] >= 12
    assert cli.json("show", "two")["forked_from"] == {
        "run": str(cli.folder / "one"), "at": 12
    }  # fmt: skip
    assert SAME in cli("replay", "two").stdout


def test_what_does_not_come_out_as_recorded_is_told_and_exits_1(
    cli: CommandLine, run_dir: Path
) -> None:
    with closing(sqlite3.connect(run_dir / "evolver.db")) as database:
        database.execute("UPDATE attempts SET parent = 0 WHERE parent != 0 AND id > 30")
        database.commit()
    done = cli("replay", run_dir, code=1)
    assert "parent was 0, is " in done.stdout
    told = json.loads(cli("replay", run_dir, "--json", code=1).stdout)
    assert told["same"] is False
    assert told["differences"][0]["what"] == "parent"


def test_a_fork_of_too_much_is_refused(
    cli: CommandLine, run_dir: Path, make_task: MakeTask
) -> None:
    assert "a number from 1 to 40" in cli.refuses("fork", run_dir, "--at", 41, "--out", "two")
    other = make_task(program="def curve(x):\n    return 1.0\n")
    assert "another program" in cli.refuses("fork", run_dir, "--task", other, "--out", "two")
    assert not (cli.folder / "two").exists()


def test_why_answers_came_to_nothing_is_shown(cli: CommandLine, make_task: MakeTask) -> None:
    with LLMServer(lambda asked: "I would rather not.") as server:
        address = ("--model", "any", "--api-base", server.address)
        cli("run", make_task(toml=DIFF), *address, "--tokens", 20_000, "--out", "prose")
    said = " ".join(cli("show", "prose").stdout.split())
    assert "times: the answer holds no SEARCH/REPLACE block" in said


def test_a_fork_without_more_says_that_nothing_was_left(cli: CommandLine, run_dir: Path) -> None:
    idle = cli("fork", run_dir, "--at", 20, "--evaluations", 10, "--out", "two")
    assert "Nothing was left to do. Give it more" in idle.stderr
    assert "after 20 attempts" in cli("show", "two").stdout
    assert "after 20 attempts" in (cli.folder / "two" / "report.html").read_text("utf-8")


@pytest.mark.parametrize("rules", range(1, CURRENT + 1))
def test_the_recorded_runs_come_out_as_they_were(
    cli: CommandLine, tmp_path: Path, rules: int
) -> None:
    recorded = Path(__file__).parents[1] / "data" / "recorded" / f"rules-{rules}"
    found = cli.json("replay", shutil.copytree(recorded, tmp_path / "recorded"))
    assert (found["same"], found["differences"]) == (True, [])
    assert bool(found["gone_rules"]) == (rules < CURRENT)
    assert found["attempts"] >= 36
    # After a change that is meant: python tests/record_run.py
