"""Scores finite sets of integers by their sums and differences, AlphaEvolve's appendix B.6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mpmath import iv

from evolver.errors import CandidateOutputError
from evolver.scoring import verify
from evolver.types import Candidate, Result


@dataclass(frozen=True)
class Evaluator:
    """Bounds the exponent C6 of sums against differences from below, by a set U of integers.

    With 0 in U, nothing in it negative and |U - U| <= 2 max U + 1,
    C6 >= 1 + log(|U - U| / |U + U|) / log(2 max U + 1). Gyarmati 2007,
    https://doi.org/10.1016/j.jnt.2006.09.011; Novikov 2025, https://arxiv.org/abs/2506.13131, B.6.

    Attributes:
        function: name of the candidate's function without arguments that returns U.
        most: largest number of integers.
        largest: largest integer; the evaluation's time grows with most * largest.
    """

    function: str = "integers"
    most: int = 5_000
    largest: int = 1_000_000

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `bound`, rounded down, and the `size` of the set.

        The set is shifted so that its least element is 0; repeated elements count once.

        Raises:
            CandidateError: there are fewer than two integers, too many, or too large ones.
        """
        given = verify.integers(candidate.call(self.function), [None], "the integers")
        least = min(given)
        found = sorted({value - least for value in given})
        if not 2 <= len(found) <= self.most or found[-1] > self.largest:
            raise CandidateOutputError(
                f"{len(found)} integers up to {found[-1]}; between 2 and {self.most} integers that "
                f"differ by at most {self.largest} are allowed"
            )
        sums, differences = _count(found)
        if sums == 0 or differences > 2 * found[-1] + 1:
            raise CandidateOutputError("|U - U| is larger than 2 max U + 1")  # impossible
        bound = 1 + iv.log(iv.mpf(differences) / sums) / iv.log(2 * found[-1] + 1)
        return Result(
            {"bound": float(bound.a), "size": float(len(found))},
            feedback=f"|U + U| = {sums}, |U - U| = {differences}, max U = {found[-1]}",
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the published bounds."""
        return {
            "before AlphaEvolve": [{"bound": 1.14465}],
            "AlphaEvolve": [{"bound": 1.1584172816}],
        }


def _count(values: Sequence[int]) -> tuple[int, int]:
    """Return how many sums and differences of two there are, with sets as bits of integers."""
    members = sum(1 << value for value in values)
    mirrored = sum(1 << values[-1] - value for value in values)
    sums = differences = 0
    for value in values:
        sums |= members << value
        differences |= mirrored << value
    return sums.bit_count(), differences.bit_count()
