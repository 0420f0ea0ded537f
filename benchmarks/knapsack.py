"""A knapsack to improve without a model: is `value / weight` found as what to sort by?

`python benchmarks/genetic.py --knapsack [SEEDS] [EVALUATIONS]` runs it with the real engine and
prints a row for each seed of the run.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import Any

import evolver

PROGRAM = '''def pack(items, capacity):
    """Choose items, each (value, weight), that fit; return their indices."""
    order = sorted(range(len(items)), key=lambda i: items[i][0], reverse=True)
    chosen = []
    left = capacity
    for i in order:
        value, weight = items[i]
        if weight <= left:
            chosen.append(i)
            left -= weight
    return chosen
'''
SCORE = '''"""The mean share of the fractional bound, over 40 secret instances."""


def instance(rng):
    items = [(rng.randint(10, 100), rng.randint(5, 60)) for _ in range(30)]
    return items, sum(weight for _, weight in items) // 4


def bound(items, capacity):
    total = 0.0
    for value, weight in sorted(items, key=lambda item: item[0] / item[1], reverse=True):
        part = min(1.0, capacity / weight)
        total += part * value
        capacity -= part * weight
    return total


def evaluate(candidate):
    shares = []
    for _ in range(40):
        items, capacity = instance(candidate.rng)
        chosen = candidate.call("pack", [list(item) for item in items], capacity)
        if len(set(chosen)) != len(chosen) or not all(0 <= i < len(items) for i in chosen):
            raise ValueError("no list of different indices")
        if sum(items[i][1] for i in chosen) > capacity:
            return {"share": 0.0}
        shares.append(sum(items[i][0] for i in chosen) / bound(items, capacity))
    return {"share": sum(shares) / len(shares)}
'''
TASK = """[task]
description = "Pack a knapsack."
program = ["pack.py"]

[evaluator]
use = "score.py:evaluate"
timeout = 2.0

[objective]
maximize = ["share"]
"""


def packed(source: str, rng: random.Random) -> float:
    """Return the mean share of the fractional bound over 300 instances; 0 where it fails."""
    score: dict[str, Any] = {}
    exec(SCORE, score)
    program: dict[str, Any] = {}
    exec(source, program)
    shares = []
    for _ in range(300):
        items, capacity = score["instance"](rng)
        try:
            chosen = program["pack"](items, capacity)
            value = sum(items[i][0] for i in chosen)
        except Exception:  # noqa: BLE001 - a winner of a run may still raise somewhere
            value = 0
        shares.append(value / score["bound"](items, capacity))
    return sum(shares) / len(shares)


def main(seeds: int, evaluations: int) -> None:
    """Run it with several seeds; found is a mean share within 0.1 % of sorting by the ratio."""
    by_ratio = PROGRAM.replace("items[i][0], reverse", "items[i][0] / items[i][1], reverse")
    wanted = packed(by_ratio, random.Random(1))
    print(f"sorted by value: {packed(PROGRAM, random.Random(1)):.4f}, by the ratio: {wanted:.4f}")
    found = 0
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            task = Path(folder) / "task"
            task.mkdir()
            for name, text in (("pack.py", PROGRAM), ("score.py", SCORE), ("task.toml", TASK)):
                (task / name).write_text(text, "utf-8")
            start = time.monotonic()
            run = evolver.run(task, evaluations=evaluations, seed=seed, out=Path(folder) / "run")
            seconds = time.monotonic() - start
            best = run.best
            assert best is not None
            source = best.program.files["pack.py"].decode()
            statuses = [o.evaluation.status for o in run.outcomes if o.evaluation is not None]
        share = packed(source, random.Random(1))
        is_found = share >= 0.999 * wanted
        found += is_found
        crashes = sum(status in ("crashed", "timeout") for status in statuses) / len(statuses)
        key = next((line.strip() for line in source.splitlines() if "sort" in line), "")
        print(
            f"seed {seed:2}  {share:.4f}  {'found' if is_found else '-':5}  "
            f"program {best.program.id:5}  crashed {100 * crashes:.0f} %  {seconds:.0f} s  {key}",
            flush=True,
        )
    print(f"found by {found} of {seeds} seeds in {evaluations} evaluations")
