"""The spread of evaluations of one program, and what it means for a run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from evolver.evaluation.executors import together
from evolver.ports import Executor
from evolver.types import Evaluation, Job, Program

INPUTS = 20  # different secret inputs to compare
_SAME = 3  # evaluations with the same inputs
_PATIENCE = 60.0  # seconds for all of them


@dataclass(frozen=True)
class Spread:
    """The spread of the objectives of some evaluations of one program.

    Attributes:
        evaluations: their number.
        largest: objective -> the largest difference of two, relative to the largest value; empty
            if fewer than two succeeded.
        deviation: objective -> the standard deviation, relative to the mean's size.
    """

    evaluations: int = 0
    largest: Mapping[str, float] = field(default_factory=dict)
    deviation: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, evaluations: Sequence[Evaluation], objectives: Sequence[str]) -> Spread:
        """Compare evaluations; failed ones do not count."""
        points = [e.metrics for e in evaluations if e.status == "ok"]
        if len(points) < 2:
            return cls(len(points))
        largest, deviation = {}, {}
        for name in objectives:
            values = [point[name] for point in points]
            size = max(map(abs, values))
            largest[name] = (max(values) - min(values)) / size if size else 0.0
            mean = abs(statistics.fmean(values)) or size
            deviation[name] = statistics.stdev(values) / mean if mean else 0.0
        return cls(len(points), largest, deviation)

    def luck(self, evaluations: int) -> float:
        """Return how far the luckiest of equally good programs is above the mean.

        The expected largest of so many normal deviates (Blom 1958) times the standard deviation,
        relative to the mean.

        Args:
            evaluations: of a run.
        """
        if not self.deviation or evaluations < 2:
            return 0.0
        rank = (evaluations - 0.375) / (evaluations + 0.25)
        return max(self.deviation.values()) * statistics.NormalDist().inv_cdf(rank)


@dataclass(frozen=True)
class Repeated:
    """Evaluations of one program: the first, those with its secret inputs, those with others.

    Both sequences hold the first one.
    """

    first: Evaluation
    same: Sequence[Evaluation]
    others: Sequence[Evaluation]


async def repeat(
    executor: Executor,
    program: Program,
    chance: int,
    tell: Callable[[str], None] = lambda _said: None,
) -> Repeated:
    """Judge a program repeatedly, as often as time allows.

    First with the same secret inputs, one evaluation after the other; then with different ones, as
    many at once as in a run.

    Args:
        executor: judges it.
        program: the program.
        chance: seed of the first evaluation's secret inputs, and of those of the others.
        tell: called with sentences about the progress.
    """
    started = time.monotonic()
    tell("judging the seed")
    first = await executor.evaluate(Job(program, chance, times_references=True))
    took = first.seconds
    same, others = [first], [first]
    rng = Random(chance)

    def has_time() -> bool:
        return first.status == "ok" and time.monotonic() - started + took <= _PATIENCE

    while len(same) < _SAME and has_time():
        tell(f"judging the seed again with the same inputs: {len(same)} of {_SAME}")
        same.append(await executor.evaluate(Job(program, chance)))
    while len(others) < INPUTS and has_time():
        tell(f"judging the seed with other secret inputs: {len(others)} of {INPUTS}")
        room = min(executor.slots, INPUTS - len(others))
        jobs = [Job(program, rng.getrandbits(63)) for _ in range(room)]
        others += await together(executor.evaluate(job) for job in jobs)
    return Repeated(first, same, others)
