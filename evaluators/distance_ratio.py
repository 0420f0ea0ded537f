"""Scores point sets by the ratio of their distances, AlphaEvolve's appendix B.8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from evolver.errors import CandidateOutputError
from evolver.scoring import verify
from evolver.types import Candidate, Result

_RECORDS: Mapping[tuple[int, int], Mapping[str, float]] = {
    (16, 2): {
        "before AlphaEvolve": 12.890, "AlphaEvolve": 12.8892661120, "EinsteinArena": 12.8892299077,
    },
    (14, 3): {
        "before AlphaEvolve": 4.168, "AlphaEvolve": 4.1658497672, "CodeEvolve": 4.1657884391,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Evaluator:
    """Measures n points of d dimensions: the largest distance over the smallest, squared.

    Novikov 2025, https://arxiv.org/abs/2506.13131, appendix B.8.

    Attributes:
        points: n.
        dimensions: d.
        function: name of the candidate's function of n and d that returns an (n, d) array.
    """

    points: int = 16
    dimensions: int = 2
    function: str = "points"

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `ratio`, the square of the quotient, rounded up.

        Raises:
            CandidateError: the function does not return n points of d finite coordinates, or two of
                them coincide.
        """
        returned = candidate.call(self.function, self.points, self.dimensions)
        given = verify.reals(
            returned, [self.points, self.dimensions], "the points", low=-1e6, high=1e6
        )
        rows = verify.rounded(given - given.mean(axis=0))[0].tolist()
        squares = {
            (i, j): sum((a - b) ** 2 for a, b in zip(rows[i], rows[j], strict=True))
            for i, j in combinations(range(self.points), 2)
        }
        nearest = min(squares, key=squares.__getitem__)
        if squares[nearest] == 0:
            raise CandidateOutputError(
                f"points {nearest[0]} and {nearest[1]} (from 0) coincide; move one"
            )
        farthest = max(squares, key=squares.__getitem__)
        return Result(
            {"ratio": verify.above(Fraction(squares[farthest], squares[nearest]))},
            feedback=f"points {nearest} (from 0) are nearest to each other, {farthest} farthest",
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the published ratios for this number of points."""
        records = _RECORDS.get((self.points, self.dimensions), {})
        return {name: [{"ratio": value}] for name, value in records.items()}
