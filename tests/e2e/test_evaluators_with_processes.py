"""Evaluators that start processes of their own, by every method of `multiprocessing`."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import CommandLine

TOML = """
[task]
program = ["double.py"]

[evaluator]
use = "{use}"
timeout = 60.0

[objective]
minimize = ["error"]
"""
SCORE = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
{imports}

@dataclass(frozen=True)
class Evaluator:
    factor: int = 2

    def expected(self, x):
        return times(self.factor, x)

    def evaluate(self, candidate):
        found = {{}}
        for method in ("fork", "spawn", "forkserver"):
            context = multiprocessing.get_context(method)
            with context.Pool(2) as pool:
                wanted = pool.map(self.expected, range(4))
            with ProcessPoolExecutor(2, mp_context=context) as pool:
                wanted += pool.map(shifted, range(4))
            print("printed by the evaluator")
            answers = [candidate.call("double", x) for x in (0, 1, 2, 3, 1, 2, 3, 4)]
            found[method] = float(wanted == answers)
        return {{"error": 0.0, **found}}

def shifted(x):
    return times(2, x + 1)
"""
#: "use", the evaluator's files, and how its first one imports its neighbour.
KINDS = {
    "a file": ("score.py:Evaluator", "score.py", "times.py", "from times import times"),
    "a file in a folder of its own": (
        "./an evaluator/sc%2E.ore.py:Evaluator",
        "an evaluator/sc%2E.ore.py",
        "an evaluator/times.py",
        "from times import times",
    ),
    "a package": (
        "./judge.v1:Evaluator",
        "judge.v1/__init__.py",
        "judge.v1/times.py",
        "from .times import times",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_pools_of_every_kind_work_in_an_evaluator(tmp_path: Path, kind: str) -> None:
    use, first, neighbour, imports = KINDS[kind]
    task = tmp_path / "task"
    task.mkdir()
    (task / "task.toml").write_text(TOML.format(use=use))
    (task / "double.py").write_text("def double(x):\n    return 2 * x\n")
    (task / first).parent.mkdir(exist_ok=True)
    (task / first).write_text(SCORE.format(imports=imports))
    (task / neighbour).write_text("def times(factor, x):\n    return factor * x\n")
    found = CommandLine(tmp_path).json("evaluate", task)
    assert found["metrics"] == {"error": 0.0, "fork": 1.0, "spawn": 1.0, "forkserver": 1.0}
