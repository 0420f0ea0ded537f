"""Scores step functions by the autocorrelation inequalities of AlphaEvolve's appendix B.1 to B.3.

A function that is constant on n equal steps has a piecewise linear autoconvolution, so its maxima
and integrals are sums. The evaluator computes them in exact integers from the candidate's heights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from evolver.errors import CandidateOutputError
from evolver.scoring import verify
from evolver.types import Candidate, Result

Kind = Literal["first", "second", "third", "third-absolute"]

# Recomputed from the published constructions where there are some, else quoted.
_RECORDS: Mapping[Kind, Mapping[str, float]] = {
    "first": {
        "before AlphaEvolve": 1.5098,
        "AlphaEvolve": 1.5052939684,
        "TTT-Discover": 1.5028628983,
    },
    "second": {
        "before AlphaEvolve": 0.88922,
        "AlphaEvolve": 0.8962799442,
        "AlphaEvolve, second version": 0.9610210778,
    },
    "third": {"before AlphaEvolve": 1.4581, "AlphaEvolve": 1.4556427954},
    "third-absolute": {"before AlphaEvolve": 1.4993, "AlphaEvolve": 1.4687620697},
}


@dataclass(frozen=True)
class Evaluator:
    """Bounds one of the constants of autocorrelation from one side, by a construction.

    With f the step function of the heights, on an interval of length 1/2, and f*f its
    autoconvolution, the bound is

    - "first": max f*f / (integral f)**2, f >= 0; minimised,
    - "second": ||f*f||_2**2 / (||f*f||_1 ||f*f||_inf), f >= 0; maximised,
    - "third": |max f*f| / (integral f)**2, f of any sign; minimised,
    - "third-absolute": max |f*f| / (integral f)**2, f of any sign; minimised.

    Novikov 2025, https://arxiv.org/abs/2506.13131, appendix B.1 to B.3.

    Attributes:
        inequality: the name of the bound.
        function: name of the candidate's function without arguments that returns the heights.
        most_steps: largest number of heights.
    """

    inequality: Kind = "first"
    function: str = "heights"
    most_steps: int = 4096

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `bound`, rounded towards the worse side, and `steps`.

        Raises:
            CandidateError: the heights are not finite, are too many, sum to zero, or are negative
                where the inequality does not allow it.
        """
        low = 0.0 if self.inequality in ("first", "second") else -float("inf")
        heights = verify.reals(candidate.call(self.function), [None], "the heights", low=low)
        if len(heights) > self.most_steps:
            raise CandidateOutputError(
                f"{len(heights)} heights are too many; return at most {self.most_steps}"
            )
        steps = verify.rounded(heights)[0].tolist()
        total = sum(steps)
        if total == 0:
            raise CandidateOutputError("the heights sum to zero; return heights with another sum")
        squares = verify.autocorrelation(steps)
        if self.inequality == "second":
            bound = verify.below(_second(squares))
        else:
            peak = max(map(abs, squares)) if self.inequality == "third-absolute" else max(squares)
            bound = verify.above(abs(Fraction(2 * len(steps) * peak, total * total)))
        at = squares.index(max(squares)) + 1
        return Result(
            {"bound": bound, "steps": float(len(steps))},
            feedback=f"f*f has its maximum at {at} of {len(squares) + 1} points between its ends",
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the published bounds."""
        return {name: [{"bound": value}] for name, value in _RECORDS[self.inequality].items()}


def _second(squares: Sequence[int]) -> Fraction:
    """Return the ratio of norms of the piecewise linear function through 0, squares, 0."""
    nodes = [0, *squares, 0]
    pairs = list(pairwise(nodes))
    integral_of_square = Fraction(sum(a * a + a * b + b * b for a, b in pairs), 3)
    integral = Fraction(sum(a + b for a, b in pairs), 2)  # nothing is negative
    return integral_of_square / (integral * max(nodes))
