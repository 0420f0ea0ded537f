"""Evidence of repeated measurements: means, intervals, and comparisons with the seed.

Programs are measured again in rounds. Within a round repeat k of every program has the same secret
inputs, so programs are compared by the differences of their pairs. The number of repeats is fixed
before a round begins. Round k of a run spends the error probability 0.05 / (k (k + 1)), so all
rounds together spend at most 0.05, for any number of rounds and at any time.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import NamedTuple

from evolver.storage.facts import Confirmation, Outcome, Round
from evolver.tasks.objective import Objective
from evolver.types import Elite

SEED = 0  # id of the program that all others are compared with
ERROR = 0.05  # probability that a run calls any program better than the seed by mistake
ROUNDING = 1e-9  # relative: the effect of arithmetic in another order
_COARSE = 1000  # a number with a denominator up to this may be a count or a rate


class Interval(NamedTuple):
    """A mean and the bounds of its interval; the bounds are infinite for a single value."""

    mean: float
    low: float
    high: float

    def __neg__(self) -> Interval:
        """Return the interval of the negated numbers."""
        return Interval(-self.mean, -self.high, -self.low)


def error_of(round_: int) -> float:
    """Return the error probability that a round may spend, from 1 on."""
    return ERROR / (round_ * (round_ + 1))


def share(error: float, candidates: int, objectives: int) -> float:
    """Return the two-sided error probability for one objective of one of several candidates.

    Only the upper half of it can call a candidate better.
    """
    return 2 * error / (max(2, candidates) * max(1, objectives))


def fewest(round_: int) -> int:
    """Return the fewest repeats with which a sign test can be significant in a round."""
    return math.ceil(math.log2(2 / error_of(round_)))


@lru_cache(maxsize=256)
def _quantile(tail: float, freedom: int) -> float:
    """Return the t with P(|T| > t) = tail, by bisection of the regularised incomplete beta."""
    import mpmath

    low, high = 0.0, 1.0
    for _ in range(60):
        # P(|T| > t) = I_x(freedom / 2, 1 / 2) with x = freedom / (freedom + t**2).
        middle = (low + high) / 2
        found = mpmath.betainc(freedom / 2, 0.5, 0, middle, regularized=True)
        low, high = (middle, high) if found < tail else (low, middle)
    return math.sqrt(freedom * (1 - high) / high)


def interval(values: Sequence[float], error: float) -> Interval:
    """Return the mean with Student's interval at an error probability."""
    middle = mean(values)
    if len(values) < 2:
        return Interval(middle, -math.inf, math.inf)
    spread = statistics.stdev(values, middle)
    if not spread:
        return Interval(middle, middle, middle)
    half = _quantile(error, len(values) - 1) * spread / math.sqrt(len(values))
    return Interval(middle, middle - half, middle + half)


def mean(values: Sequence[float]) -> float:
    """Return the mean; of equal numbers exactly that number."""
    return values[0] if len(set(values)) == 1 else statistics.fmean(values)


def is_same(one: float, other: float) -> bool:
    """Tell whether two numbers differ by no more than rounding."""
    return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=1e-300)


def is_coarse(value: float) -> bool:
    """Tell whether a number may be a count or a rate, which can repeat by chance."""
    # Stricter than `is_same`, by which any large number would be near such a fraction.
    return math.isclose(float(Fraction(value).limit_denominator(_COARSE)), value, rel_tol=1e-12)


def is_above(gains: Sequence[float], error: float, *, is_continuous: bool) -> bool:
    """Tell whether paired differences are above zero by more than chance.

    Student's interval must exclude zero. If some differences are zero, or all are equal, the
    numbers may be counts rather than measurements, and the interval is unreliable: then a sign test
    of the nonzero differences must agree.

    Args:
        gains: the differences.
        error: two-sided error probability.
        is_continuous: whether the seed's numbers all differ.
    """
    if len(gains) < 2 or interval(gains, error).low <= 0:
        return False
    moved = sum(gain != 0 for gain in gains)
    if moved == len(gains) and (len(set(gains)) > 1 or is_continuous):
        return True
    return float(2.0**-moved) <= error / 2


@dataclass(frozen=True)
class Confirmed:
    """The repeats of one program, combined.

    Attributes:
        program: its id.
        metrics: their means; only metrics that all repeats have.
        repeats: by round and number, the objectives of each.
        round: its last round.
    """

    program: int
    metrics: Mapping[str, float]
    repeats: Mapping[tuple[int, int], tuple[float, ...]]
    round: int

    @cached_property
    def objectives(self) -> tuple[float, ...]:
        """The means, higher is better."""
        return tuple(map(mean, zip(*self.repeats.values(), strict=True)))

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        """The interval of each objective, valid after every round."""
        error = error_of(self.round)
        return tuple(interval(row, error) for row in zip(*self.repeats.values(), strict=True))

    def plus(self, other: Confirmed) -> Confirmed:
        """Combine these repeats with later ones."""
        own, new = len(self.repeats), len(other.repeats)
        metrics = {
            name: value if value == other.metrics[name]
            else (own * value + new * other.metrics[name]) / (own + new)
            for name, value in self.metrics.items()
            if name in other.metrics
        }  # fmt: skip
        return Confirmed(self.program, metrics, {**self.repeats, **other.repeats}, other.round)

    def revalued(self, elite: Elite) -> Elite:
        """Return the program with its confirmed value.

        Feedback and artifacts remain those of the search: results on the fresh inputs must not
        reach a prompt, or the inputs would no longer be fresh.
        """
        evaluation = replace(
            elite.evaluation, metrics=dict(self.metrics), objectives=self.objectives
        )
        return replace(elite, evaluation=evaluation)


@dataclass(frozen=True)
class Verdict:
    """The result of a closed round."""

    round: Round
    confirmed: Mapping[int, Confirmed]
    failed: frozenset[int]  # programs with a repeat that failed by their own fault

    @classmethod
    def of(cls, round_: Round, rows: Iterable[Confirmation]) -> Verdict:
        """Combine a round's measurements; ignore failures of the evaluator."""
        found: dict[int, list[Confirmation]] = {}
        failed = set[int]()
        for row in rows:
            if row.evaluation.objectives is not None:
                found.setdefault(row.program, []).append(row)
            elif row.evaluation.fault != "evaluator":
                failed.add(row.program)
        confirmed = {
            program: _together(program, made, round_.number)
            for program, made in found.items()
            if program not in failed
        }
        return cls(round_, confirmed, frozenset(failed))


def _together(program: int, rows: Sequence[Confirmation], number: int) -> Confirmed:
    metrics = [row.evaluation.metrics for row in rows]
    shared = [name for name in metrics[0] if all(name in one for one in metrics)]
    return Confirmed(
        program,
        {name: mean([one[name] for one in metrics]) for name in shared},
        {(number, row.repeat): row.evaluation.objectives or () for row in rows},
        number,
    )


@dataclass(frozen=True)
class Comparison:
    """A program compared with the seed, over the rounds that both were in.

    Attributes:
        program: its id.
        n: pairs of measurements.
        own: its objectives, each with an interval.
        seed: those of the seed.
        gains: the paired differences.
        is_exact: whether the evaluator repeats itself exactly.
        is_better: whether some objective is better by more than chance.
    """

    program: int
    n: int
    own: tuple[Interval, ...]
    seed: tuple[Interval, ...]
    gains: tuple[Interval, ...]
    is_exact: bool
    is_better: bool


@dataclass
class Evidence:
    """The results of all closed rounds."""

    verdicts: list[Verdict] = field(default_factory=list)
    confirmed: dict[int, Confirmed] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)

    def add(self, verdict: Verdict) -> None:
        """Add the result of a round."""
        self.verdicts.append(verdict)
        for program, new in verdict.confirmed.items():
            known = self.confirmed.get(program)
            self.confirmed[program] = new if known is None else known.plus(new)
        self.failed |= verdict.failed

    @property
    def is_exact(self) -> bool:
        """Whether every measurement equals an earlier one, so that all values are exact."""
        return bool(self.verdicts) and all(one.round.is_exact for one in self.verdicts)

    def compared(self, program: int) -> Comparison | None:
        """Compare a program with the seed; None if they shared no round."""
        for verdict in reversed(self.verdicts):
            own, seed = verdict.confirmed.get(program), verdict.confirmed.get(SEED)
            if own is not None and seed is not None and program != SEED:
                return _compared(own, seed, verdict)
        return None

    def establishes(self, program: int) -> bool:
        """Tell whether a program is better than the seed by more than chance."""
        found = self.compared(program)
        return found is not None and found.is_better


def _compared(own: Confirmed, seed: Confirmed, verdict: Verdict) -> Comparison:
    keys = [key for key in own.repeats if key in seed.repeats]
    ours = list(zip(*(own.repeats[key] for key in keys), strict=True))
    theirs = list(zip(*(seed.repeats[key] for key in keys), strict=True))
    gains = [
        [x - y for x, y in zip(our, their, strict=True)]
        for our, their in zip(ours, theirs, strict=True)
    ]
    error = error_of(verdict.round.number)
    is_exact = verdict.round.is_exact
    if is_exact:
        is_better = any(
            gain[0] > 0 and not is_same(our[0], their[0])
            for gain, our, their in zip(gains, ours, theirs, strict=True)
        )
    else:
        each = share(error, len(verdict.round.programs) - 1, len(gains))
        is_better = any(
            is_above(gain, each, is_continuous=len(set(their)) == len(their))
            for gain, their in zip(gains, theirs, strict=True)
        )
    return Comparison(
        own.program,
        len(keys),
        tuple(interval(row, error) for row in ours),
        tuple(interval(row, error) for row in theirs),
        tuple(interval(row, error) for row in gains),
        is_exact,
        is_better,
    )


def establishes(evidence: Evidence, front: Sequence[Elite], objective: Objective) -> bool:
    """Tell whether the announced programs are better than the seed by more than chance.

    Args:
        evidence: of the run.
        front: the announced programs, with confirmed values.
        objective: of the task; with several values the front must also score above the seed.
    """
    if not any(evidence.establishes(elite.program.id) for elite in front):
        return False
    score = objective.score(elite.objectives for elite in front)
    seed = objective.score([evidence.confirmed[SEED].objectives])
    return score is not None and seed is not None and score > seed


def in_order(
    outcomes: Iterable[Outcome], confirmations: Iterable[Confirmation], rounds: Iterable[Round]
) -> Iterator[Outcome | Confirmation | Verdict]:
    """Yield outcomes with the verdicts of rounds, and confirmations by older rules, in order."""
    rows = list(confirmations)
    alone = [row for row in rows if not row.round]
    closed = [
        Verdict.of(one, (row for row in rows if row.round == one.number))
        for one in rounds
        if one.is_closed
    ]
    timed: list[tuple[int, Confirmation | Verdict]] = [
        *((row.seen, row) for row in alone),
        *((one.round.seen, one) for one in closed),
    ]
    # Older versions did not store when.
    waiting = deque(sorted(timed, key=lambda pair: (pair[0] < 0, pair[0])))
    for finished, outcome in enumerate(outcomes):
        while waiting and 0 <= waiting[0][0] <= finished:
            yield waiting.popleft()[1]
        yield outcome
    for _, event in waiting:
        yield event
