"""Measure how often the seed of the multiply-* tasks reaches the best known ranks, and keep finds.

    python benchmarks/multiplication.py                   # some ranks, 20 seeds each: ten minutes
    python benchmarks/multiplication.py 3,3,3:23 --seeds 50
    python benchmarks/multiplication.py --program best/decompose.py
    python benchmarks/multiplication.py --store           # the first exact ones beside their tasks

A row is a shape and a rank: the seeds whose factors are exact, and the CPU time of a call. What
`--store` writes, examples/multiply-MxNxP/rank-R.json, holds U, V and W as lists of rows; a test
verifies each by the evaluator's exact arithmetic.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolver.bundled import bundled
from evolver.errors import CandidateOutputError
from evolver.tasks.plugins import load_module

CASES = "2,2,2:7 2,2,3:11 2,2,4:14 2,3,3:15 2,3,4:20 3,3,3:23"
SEED = bundled("examples") / "multiply-2x2x2" / "decompose.py"


class Found:
    """A candidate whose factors are there already."""

    def __init__(self, factors: list[NDArray[Any]]) -> None:
        self.rng = random.Random(0)
        self.factors = factors

    def call(self, *_: object) -> list[NDArray[Any]]:
        """Return them, whatever is asked."""
        return self.factors


def is_exact(shape: tuple[int, int, int], factors: list[NDArray[Any]]) -> bool:
    """Ask the evaluator."""
    m, n, p = shape
    rank = factors[0].shape[1]
    evaluator = load_module(bundled("evaluators") / "matrix_multiplication.py").Evaluator(
        m=m, n=n, p=p, rank_from=rank, rank_to=rank, seeds=1
    )
    try:
        metrics = evaluator.evaluate(Found(factors)).metrics
    except CandidateOutputError:
        return False
    return bool(metrics["distance"] == 0.0 and metrics["share"] == 1.0)


def measure(
    program: ModuleType, shape: tuple[int, int, int], rank: int, seeds: int
) -> list[NDArray[Any]] | None:
    """Print the row of a rank; return the first factors that were exact, in halves."""
    seconds, exact = [], []
    for seed in range(seeds):
        start = time.process_time()
        factors = program.decompose(*shape, rank, seed)
        seconds.append(time.process_time() - start)
        if is_exact(shape, factors):
            exact.append([np.round(2 * factor) / 2 for factor in factors])
    print(f"<{','.join(map(str, shape))}> rank {rank}: {len(exact)} of {seeds} seeds; "
          f"CPU s a call: median {statistics.median(seconds):.2f}, most {max(seconds):.2f}",
          flush=True)  # fmt: skip
    return exact[0] if exact else None


def store(shape: tuple[int, int, int], factors: list[NDArray[Any]]) -> None:
    """Write a decomposition beside its task, where there is one."""
    rank = factors[0].shape[1]
    folder = bundled("examples") / f"multiply-{'x'.join(map(str, shape))}"
    if not folder.is_dir():
        return
    names = dict(zip("mnp", shape, strict=True))
    rows = ",\n".join(
        f'"{name}": [\n ' + ",\n ".join(json.dumps([_number(x) for x in row]) for row in factor)
        + "\n]"
        for name, factor in zip("UVW", factors, strict=True)
    )  # fmt: skip
    head = ", ".join(f'"{name}": {value}' for name, value in {**names, "rank": rank}.items())
    (folder / f"rank-{rank}.json").write_text(f"{{{head},\n{rows}}}\n")


def _number(entry: float) -> int | float:
    return int(entry) if entry == int(entry) else float(entry)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=CASES.split())
    parser.add_argument("--program", type=Path, default=SEED)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--store", action="store_true")
    arguments = parser.parse_args()
    program = load_module(arguments.program)
    for case in arguments.cases:
        text, _, rank = case.partition(":")
        m, n, p = map(int, text.split(","))
        factors = measure(program, (m, n, p), int(rank), arguments.seeds)
        if factors is not None and arguments.store:
            store((m, n, p), factors)


if __name__ == "__main__":
    main()
