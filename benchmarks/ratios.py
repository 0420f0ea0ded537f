"""Two programs to improve without a model: is the ratio found as what to sort by?

`python benchmarks/genetic.py --knapsack [SEEDS] [EVALUATIONS]` packs a knapsack, of which the seed
sorts by the value alone; `--jobs` orders jobs on a machine, of which the seed takes the shortest
first, where weight / time is best (Smith 1956, https://doi.org/10.1002/nav.3800030106). Each prints
a row for each seed of the run. Programs are judged in forks of the benchmark; with `--sandboxed`
they are judged as in any run.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inside import Called, deadline, run_inside

import evolver
from evolver.storage.facts import Outcome
from evolver.types import Program

_ENOUGH = 0.999

KNAPSACK = '''def pack(items, capacity):
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
KNAPSACK_SCORE = '''"""The mean share of the fractional bound, over 40 secret instances."""


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
JOBS = '''def schedule(jobs):
    """Order jobs, each (time, weight), on one machine; return the order and its cost."""
    left = list(range(len(jobs)))
    order = []
    clock = 0
    cost = 0
    while left:
        best = min(left, key=lambda j: jobs[j][0])
        left.remove(best)
        order.append(best)
        time, weight = jobs[best]
        clock += time
        cost += weight * clock
    return order, cost
'''
JOBS_SCORE = '''"""The mean share of the least weighted completion time, over 40 instances."""


def total(jobs, order):
    clock = cost = 0
    for j in order:
        clock += jobs[j][0]
        cost += jobs[j][1] * clock
    return cost


def evaluate(candidate):
    shares = []
    for _ in range(40):
        jobs = [(candidate.rng.randint(1, 50), candidate.rng.randint(1, 30)) for _ in range(25)]
        order, _ = candidate.call("schedule", [list(job) for job in jobs])
        if sorted(order) != list(range(len(jobs))):
            raise ValueError("no order of the jobs")
        best = sorted(range(len(jobs)), key=lambda j: jobs[j][0] / jobs[j][1])
        shares.append(total(jobs, best) / total(jobs, order))
    return {"share": sum(shares) / len(shares)}
'''
TASK = """[task]
description = "Choose well what comes first."
program = ["program.py"]

[evaluator]
use = "score.py:evaluate"
timeout = 2.0

[objective]
maximize = ["share"]
"""


@dataclass(frozen=True)
class Problem:
    """A program, how it is scored, and the sort key that it should come to."""

    program: str
    score: str
    key: tuple[str, str]  # the seed's and the best one

    def share(self, source: str) -> float:
        """Return the mean score over ten times as many instances; 0 where a program fails."""
        score: dict[str, Any] = {}
        exec(self.score, score)
        program: dict[str, Any] = {}
        try:
            with deadline(10.0):
                exec(source, program)
                rng = random.Random(1)
                shares = [score["evaluate"](Called(program, rng))["share"] for _ in range(10)]
        except Exception:  # noqa: BLE001 - a winner of a run may still raise somewhere
            return 0.0
        return float(sum(shares) / len(shares))

    def first(self, outcomes: Iterable[Outcome], share: float) -> Program | None:
        """Return the first program of a run whose mean share is so good."""
        for outcome in outcomes:
            program, evaluation = outcome.program, outcome.evaluation
            if program is not None and evaluation is not None and evaluation.status == "ok":
                looks_good = evaluation.metrics["share"] > 0.98 * share
                if looks_good and self.share(program.files["program.py"].decode()) >= share:
                    return program
        return None


def _key(program: Program) -> str:
    lines = program.files["program.py"].decode().splitlines()
    return next((line.strip() for line in reversed(lines) if "key=" in line), "")


PROBLEMS = {
    "knapsack": Problem(
        KNAPSACK, KNAPSACK_SCORE, ("items[i][0], r", "items[i][0] / items[i][1], r")
    ),
    "jobs": Problem(JOBS, JOBS_SCORE, ("jobs[j][0])", "jobs[j][0] / jobs[j][1])")),
}


def main(name: str, seeds: int, evaluations: int, *, is_sandboxed: bool) -> None:
    """Run it with several seeds; found is a mean share within 0.1 % of sorting by the ratio.

    What a run announces counts. Beside it stands the first program that was as good, by its number
    and its sort key.
    """
    problem = PROBLEMS[name]
    wanted = problem.share(problem.program.replace(*problem.key))
    print(f"{name}: {problem.share(problem.program):.4f}, by the ratio {wanted:.4f}")
    found = 0
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            task = Path(folder) / "task"
            task.mkdir()
            for file, text in (("program.py", problem.program), ("score.py", problem.score)):
                (task / file).write_text(text, "utf-8")
            (task / "task.toml").write_text(TASK, "utf-8")
            start = time.monotonic()
            if is_sandboxed:
                out = Path(folder) / "run"
                run = evolver.run(task, evaluations=evaluations, seed=seed, out=out)
                best, outcomes = run.best, list(run.outcomes)
            else:
                inside = run_inside(task, problem.score, evaluations=evaluations, seed=seed)
                best, outcomes = inside.best, inside.outcomes
            seconds = time.monotonic() - start
        assert best is not None
        source = best.program.files["program.py"].decode()
        share = problem.share(source)
        is_found = share >= _ENOUGH * wanted
        found += is_found
        statuses = [each.evaluation.status for each in outcomes if each.evaluation is not None]
        crashes = sum(status in ("crashed", "timeout") for status in statuses) / len(statuses)
        first = problem.first(outcomes, _ENOUGH * wanted)
        print(
            f"seed {seed:2}  {share:.4f}  {'found' if is_found else '-':5}  "
            f"first {'-' if first is None else first.id:>5}  crashed {100 * crashes:.0f} %  "
            f"{seconds:.0f} s  {'' if first is None else _key(first)}",
            flush=True,
        )
    print(f"found by {found} of {seeds} seeds in {evaluations} evaluations")
