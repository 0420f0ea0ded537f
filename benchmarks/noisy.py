"""What runs with noisy evaluators announce, beside what is true: two tasks for luck, one for gain.

    python benchmarks/noisy.py [--evaluations 400] [--seed 0] [--keep DIR]

No model is asked. A row says what the run announces, what its search alone would have announced,
and how much better than the seed the announced program is on a hundred further inputs, which no run
has seen, with the standard error of that difference.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evolver.evaluation.executors import together
from evolver.runs.assemble import make_executor
from evolver.runs.background import in_thread
from evolver.runs.run import Run
from evolver.search import formatting
from evolver.types import Evaluation, Job, Program

FURTHER = 100  # inputs for what is true


@dataclass(frozen=True)
class Noisy:
    """A task: its program, its evaluator, and the metric with its direction."""

    program: str
    score: str
    direction: str
    metric: str

    def write(self, folder: Path) -> None:
        """Write the folder of the task."""
        folder.mkdir()
        (folder / "program.py").write_text(self.program, encoding="utf-8")
        (folder / "score.py").write_text(self.score, encoding="utf-8")
        (folder / "task.toml").write_text(
            f'[task]\nprogram = ["program.py"]\n\n[evaluator]\nuse = "score.py:score"\n'
            f'timeout = 5.0\n\n[objective]\n{self.direction} = ["{self.metric}"]\n',
            encoding="utf-8",
        )


TASKS: Mapping[str, Noisy] = {
    "a tour of 60 cities, three instances": Noisy(
        '''"""The next city is the nearest that is left."""

import math


def tour(cities):
    order, left = [0], list(range(1, len(cities)))
    while left:
        here = cities[order[-1]]
        nearest = min(left, key=lambda city: math.dist(here, cities[city]))
        left.remove(nearest)
        order.append(nearest)
    return order
''',
        """
import math


def score(candidate):
    total = 0.0
    for _ in range(3):
        cities = [[candidate.rng.random(), candidate.rng.random()] for _ in range(60)]
        order = candidate.call("tour", cities)
        if sorted(order) != list(range(60)):
            return {"length": 1000.0}
        total += sum(math.dist(cities[a], cities[b]) for a, b in zip(order, order[1:] + order[:1]))
    return {"length": total / 3}
""",
        "minimize",
        "length",
    ),
    "slow primes, timed": Noisy(
        '''"""Count the primes below n."""


def primes(n):
    count = 0
    for number in range(2, n):
        is_prime = True
        for divisor in range(2, number):
            if number % divisor == 0:
                is_prime = False
                break
        if is_prime:
            count = count + 1
    return count
''',
        """
import time


def expected(n):
    return sum(all(k % d for d in range(2, int(k**0.5) + 1)) for k in range(2, n))


def score(candidate):
    n = candidate.rng.randrange(1100, 1200)
    started = time.perf_counter()
    found = candidate.call("primes", n)
    seconds = time.perf_counter() - started
    return {"speed": 0.001 / seconds if found == expected(n) else 0.0}
""",
        "maximize",
        "speed",
    ),
    "a line through noisy points": Noisy(
        '''"""A line."""


def line(x):
    return 0.5 + 1.0 * x
''',
        """
def score(candidate):
    rng, errors = candidate.rng, []
    for _ in range(20):
        x = rng.random()
        y = 1.0 + 2.0 * x + rng.gauss(0.0, 0.5)
        errors.append((float(candidate.call("line", x)) - y) ** 2)
    return {"error": sum(errors) / len(errors)}
""",
        "minimize",
        "error",
    ),
}


def further(run: Run) -> list[float]:
    """Measure the announced program and the seed on inputs of their own; return the gains."""
    best = run.best
    assert best is not None
    executor = make_executor(run.task, 2)
    seed = Program(0, run.task.files, run.task.base)

    def jobs() -> Iterator[Job]:
        for number in range(FURTHER):
            yield Job(best.program, 10**6 + number)
            yield Job(seed, 10**6 + number)

    async def work(_interrupted: object) -> list[Evaluation]:
        try:
            await executor.start()
            return await together(executor.evaluate(job) for job in jobs())
        finally:
            await executor.close()

    values = [e.objectives[0] for e in in_thread(work) if e.objectives is not None]
    return [own - other for own, other in zip(values[::2], values[1::2], strict=True)]


def row(name: str, task: Noisy, folder: Path, options: argparse.Namespace) -> str:
    """Run a task from the command line and return a row of the table."""
    place = folder / task.metric
    task.write(place)
    words = ["--evaluations", options.evaluations, "--seed", options.seed, "--out", place / "run"]
    done = subprocess.run(
        [sys.executable, "-m", "evolver", "run", str(place), *map(str, words), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    run = Run.open(place / "run")
    gains = further(run)
    error = statistics.stdev(gains) / math.sqrt(len(gains))
    announced = formatting.announced(run.evidence, run.front, run.objective)
    search = run.objective.value(told["search_score"])
    return (
        f"| {name} | {announced} | {task.metric} {search:.4g} | {told['established']} | "
        f"{statistics.fmean(gains):+.4f} ± {error:.4f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="an empty folder for the tasks and runs")
    options = parser.parse_args()
    print("| task | announced | by the search alone | established | gain on further inputs |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name, task in TASKS.items():
            print(row(name, task, folder, options), flush=True)


if __name__ == "__main__":
    main()
