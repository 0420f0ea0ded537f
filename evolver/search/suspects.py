"""Tests whether known-bad programs that scored above the seed are better, or were lucky.

Suspects are measured again together with the seed, on the same fresh secret inputs. The number of
repeats is fixed beforehand, by their time alone. If a suspect and the seed give the same values as
at first, the evaluator is exact and one repeat is enough. Else the suspect must be better than the
seed by more than chance; all suspects share the error probability of a round
(`evolver.search.evidence`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from evolver.evaluation.executors import together
from evolver.search import evidence
from evolver.search.evidence import Interval, is_coarse, is_same, mean
from evolver.tasks.objective import Objective
from evolver.types import Evaluation, Files

Pair = tuple[Evaluation, Evaluation]  # of a suspect and of the seed, on the same inputs

_ERROR = evidence.error_of(1)
_LEAST = 4  # pairs, however long they take
_MOST = 12
_SECONDS = 10.0  # for pairs beyond the least


@dataclass(eq=False)
class Suspect:
    """A bad program with its measurements, each beside the seed's.

    Attributes:
        files: the program.
        is_named: whether the task names it; with several objectives a named one may not raise the
            score, and any other may not dominate the seed.
        first: the pair that made it a suspect.
        again: the pairs on fresh inputs.
    """

    files: Files
    is_named: bool
    first: Pair
    again: list[Pair] = field(default_factory=list)

    @property
    def is_exact(self) -> bool:
        """Whether the values on fresh inputs equal the first ones."""
        return all(
            new.objectives is not None
            and old.objectives is not None
            and all(map(is_same, new.objectives, old.objectives))
            for pair in self.again
            for new, old in zip(pair, self.first, strict=True)
        )

    @property
    def has_failed(self) -> bool:
        """Whether it failed on some fresh inputs by its own fault."""
        return any(own.objectives is None and own.fault != "evaluator" for own, _ in self.again)

    def looks_better(self, objective: Objective) -> bool:
        """Tell whether the first pair alone prefers it to the seed."""
        return self._is_preferred([self.first], objective)

    def is_better(self, objective: Objective, suspects: int) -> bool:
        """Tell whether the pairs on fresh inputs establish that it is preferred to the seed.

        Args:
            objective: of the task.
            suspects: how many share the error probability.
        """
        if self.has_failed:
            return False
        if self.is_exact:
            return self._is_preferred(self.again[:1], objective)
        return self._is_preferred(
            self.again, objective, evidence.share(_ERROR, suspects, len(objective.names))
        )

    def _is_preferred(
        self, pairs: Sequence[Pair], objective: Objective, error: float | None = None
    ) -> bool:
        measured = [
            (own.objectives, seed.objectives)
            for own, seed in pairs
            if own.objectives is not None and seed.objectives is not None
        ]
        if not measured:
            return False
        ours, theirs = (list(zip(*points, strict=True)) for points in zip(*measured, strict=True))
        gains = [_gain(*rows, error) for rows in zip(ours, theirs, strict=True)]
        if not self.is_named or len(gains) == 1:
            return all(gain.high >= 0 for gain in gains) and any(gain.low > 0 for gain in gains)
        before = tuple(map(mean, theirs))
        at_least = tuple(own + gain.low for own, gain in zip(before, gains, strict=True))
        if not all(map(math.isfinite, at_least)):
            return False
        score, known = objective.score([at_least, before]), objective.score([before])
        if score is None or known is None or is_same(score, known):
            return False
        return score > known


def _gain(ours: Sequence[float], theirs: Sequence[float], error: float | None) -> Interval:
    """Return by how much one objective is better; without an error, by the first pair alone."""
    gains = [0.0 if is_same(x, y) else x - y for x, y in zip(ours, theirs, strict=True)]
    if error is None:
        return Interval(gains[0], gains[0], gains[0])
    found = evidence.interval(gains, error)
    is_continuous = len(set(theirs)) == len(theirs)
    if found.low > 0 and not evidence.is_above(gains, error, is_continuous=is_continuous):
        return found._replace(low=0.0)
    return found


async def measure_again(
    suspects: Sequence[Suspect],
    seed: Files,
    objective: Objective,
    measure: Callable[[Files, int], Coroutine[Any, Any, Evaluation]],
    *,
    rng: Random,
    slots: int,
) -> None:
    """Measure suspects beside the seed, to establish whether they are better.

    Args:
        suspects: their new pairs are added to them.
        seed: the seed program.
        objective: of the task.
        measure: judges a program with the inputs of a number.
        rng: draws those numbers.
        slots: evaluations at once.

    Raises:
        SandboxError: this host cannot run candidates.
    """

    async def work(waiting: Sequence[Suspect], repeats: int) -> None:
        subjects = [seed, *(suspect.files for suspect in waiting)]
        chances = [rng.getrandbits(63) for _ in range(repeats)]
        found = await together(measure(files, n) for n in chances for files in subjects)
        for start in range(0, len(found), len(subjects)):
            beside, *rest = found[start : start + len(subjects)]
            for suspect, own in zip(waiting, rest, strict=True):
                suspect.again.append((own, beside))

    if not suspects:
        return
    at_once = [suspects[0].first[1], *(suspect.first[0] for suspect in suspects)]
    seconds = sum(evaluation.seconds for evaluation in at_once) / slots
    most = max(_LEAST, min(_MOST, int(_SECONDS / seconds))) if seconds else _MOST
    values = [value for each in at_once for value in each.objectives or ()]
    first = 1
    if all(map(is_coarse, values)):  # a count or a rate can repeat by chance
        share = evidence.share(_ERROR, len(suspects), len(objective.names))
        first = min(most, math.ceil(math.log2(2 / share) / 2))
    await work(suspects, first)
    noisy = [one for one in suspects if not one.is_exact and not one.has_failed]
    if noisy:
        await work(noisy, most - first)
