"""Scores packings of circles by the sum of their radii, AlphaEvolve's appendix B.12 and B.13."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Literal

import numpy as np

from evolver.errors import CandidateOutputError
from evolver.scoring import verify
from evolver.types import Candidate, Result

_RECORDS: Mapping[tuple[str, int], Mapping[str, float]] = {
    ("square", 26): {
        "before AlphaEvolve": 2.634, "AlphaEvolve": 2.6358627564, "best known": 2.635983084917413,
    },
    ("square", 32): {
        "before AlphaEvolve": 2.936, "AlphaEvolve": 2.9379445262, "best known": 2.939572771203275,
    },
    ("rectangle", 21): {
        "before AlphaEvolve": 2.364, "AlphaEvolve": 2.3658321334, "EinsteinArena": 2.3658323759,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Evaluator:
    """Measures n disjoint circles in a unit square, or in a rectangle of perimeter 4.

    If circles overlap or stick out, all radii are multiplied by the largest factor that makes the
    packing exactly feasible, so that there is no tolerance to exploit. The rectangle is the
    smallest one around the corrected circles, scaled to perimeter 4. Novikov 2025,
    https://arxiv.org/abs/2506.13131, appendix B.12, B.13.

    Attributes:
        container: "square" or "rectangle".
        circles: n.
        function: name of the candidate's function of n that returns (centers, radii): arrays of
            shape (n, 2) and (n,).
    """

    container: Literal["square", "rectangle"] = "square"
    circles: int = 26
    function: str = "pack"

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `sum_of_radii`, rounded down, of the corrected packing.

        Raises:
            CandidateError: the function does not return n finite centers and n radii of at least 0,
                a center lies outside the square, or no positive radii are possible.
        """
        returned = candidate.call(self.function, self.circles)
        if not isinstance(returned, list | tuple) or len(returned) != 2:
            raise CandidateOutputError(f"{self.function} must return (centers, radii)")
        is_square = self.container == "square"
        low, high = (0.0, 1.0) if is_square else (-64.0, 64.0)
        centers = verify.reals(returned[0], [self.circles, 2], "the centers", low=low, high=high)
        radii = verify.reals(returned[1], [self.circles], "the radii", low=0.0, high=64.0)
        if not radii.any():
            raise CandidateOutputError("all radii are 0; return a positive one")
        table, unit = verify.rounded(np.column_stack([centers, radii]))
        circles = [(x, y, r) for x, y, r in table.tolist()]
        factor, blame = _shrinking(circles, int(1 / unit) if is_square else None)
        total = sum(r for *_, r in circles) * factor
        if total == 0:
            raise CandidateOutputError(f"{blame}: no positive radii are possible; move the centers")
        if is_square:
            total *= unit
        else:
            width, height = (
                max(c[axis] + c[2] * factor for c in circles)
                - min(c[axis] - c[2] * factor for c in circles)
                for axis in (0, 1)
            )
            total *= 2 / (width + height)
        feedback = (
            "the circles do not overlap or stick out"
            if factor == 1
            else f"{blame}, so all radii were multiplied by {float(factor):.9g}"
        )
        return Result({"sum_of_radii": verify.below(Fraction(total))}, feedback=feedback)

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the published sums for this container and number of circles."""
        records = _RECORDS.get((self.container, self.circles), {})
        return {name: [{"sum_of_radii": value}] for name, value in records.items()}


def _shrinking(circles: Sequence[tuple[int, int, int]], side: int | None) -> tuple[Fraction, str]:
    """Return the factor up to 1 that makes circles disjoint and inside, and what requires it.

    Args:
        circles: x, y, radius, in the same unit.
        side: of the square from (0, 0), in that unit; None for no walls.
    """
    factor, blame = Fraction(1), ""
    if side is not None:
        for index, (x, y, r) in enumerate(circles):
            room = min(x, y, side - x, side - y)
            if room < r * factor:
                factor, blame = Fraction(room, r), f"circle {index} (from 0) sticks out"
    for (i, one), (j, other) in combinations(enumerate(circles), 2):
        square = (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2
        reach = one[2] + other[2]
        if (reach * factor.numerator) ** 2 > square * factor.denominator**2:
            factor = verify.root_below(Fraction(square, reach**2))
            blame = f"circles {i} and {j} (from 0) overlap"
    return factor, blame
