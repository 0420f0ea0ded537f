"""Optimisers of examples/black-box-optimisation against random search and hill climbing.

    python benchmarks/black_box.py                        # the example's own, a minute
    python benchmarks/black_box.py mine.py --draws 20     # and yours

A draw is an evaluation: every function, three instances each, new shifts and rotations, with the
points of the task. Digits are of the least value found, beyond those of hill climbing with the best
of four step sizes on each function; the errors are standard errors over the draws.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from evolver.bundled import bundled
from evolver.sandboxes.local import LocalSandbox
from evolver.sandboxes.settings import SandboxSettings
from evolver.tasks.plugins import load_module
from evolver.types import Program

TASK = bundled("examples") / "black-box-optimisation"
EVALUATOR = load_module(bundled("evaluators") / "black_box").Evaluator()


def measured(source: bytes, draws: int) -> np.ndarray:
    """Return (draws, 3): digits beyond hill climbing, beyond random search, share of wins."""
    rows = []
    with closing(LocalSandbox(SandboxSettings(preload=("numpy",)))) as sandbox:
        for draw in range(draws):
            with sandbox.open(Program(0, {"p.py": source}), seed=draw, timeout=600.0) as candidate:
                metrics = EVALUATOR.evaluate(candidate).metrics
            rows.append([metrics[name] for name in ("gained", "over_random", "wins")])
    return np.array(rows)


def line(name: str, digits: np.ndarray, wins: Sequence[float]) -> str:
    """Return a row of the table."""
    error = digits.std(ddof=1) / len(digits) ** 0.5
    won = f"{100 * np.mean(wins):.0f} %" if len(wins) else ""
    return f"| {name} | {digits.mean():+.2f} ± {error:.2f} | {won} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    found = [TASK / "optimiser.py", *sorted(TASK.glob("best/*.py"))]
    parser.add_argument("programs", nargs="*", type=Path, default=found)
    parser.add_argument("--draws", type=int, default=10)
    arguments = parser.parse_args()
    print("| | digits beyond hill climbing | instances won |\n|---|---|---|")
    random = []
    for path in arguments.programs:
        rows = measured(path.read_bytes(), arguments.draws)
        random += list(rows[:, 0] - rows[:, 1])
        print(line(f"`{path.parent.name}/{path.name}`", rows[:, 0], rows[:, 2]), flush=True)
    print(line("random search", np.array(random), ()))
    print("| hill climbing | 0 | |")


if __name__ == "__main__":
    main()
