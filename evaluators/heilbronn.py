"""Scores point sets by their smallest triangle, AlphaEvolve's appendix B.9 and B.10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Literal

from evolver.errors import CandidateOutputError
from evolver.scoring import verify
from evolver.types import Candidate, Result

Point = tuple[int, int]
_RECORDS: Mapping[tuple[str, int], Mapping[str, float]] = {
    ("triangle", 11): {"before AlphaEvolve": 0.0360, "AlphaEvolve": 0.0365298899},
    ("convex", 13): {"before AlphaEvolve": 0.0306, "AlphaEvolve": 0.0309368890},
    ("convex", 14): {
        "before AlphaEvolve": 0.0277, "AlphaEvolve": 0.0278355715, "EinsteinArena": 0.0278355805,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Evaluator:
    """Measures n points of the plane: the area of their smallest triangle over that of the region.

    The region is the triangle (0, 0), (1, 0), (0, 1), to which an affine map brings any other, or
    the convex hull of the points. Novikov 2025, https://arxiv.org/abs/2506.13131, B.9, B.10.

    Attributes:
        region: "triangle" or "convex".
        points: n.
        function: name of the candidate's function of n that returns an (n, 2) array.
    """

    region: Literal["triangle", "convex"] = "triangle"
    points: int = 11
    function: str = "points"

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `area`, as a share of the region's, rounded down.

        Raises:
            CandidateError: the function does not return n points of two finite coordinates, one is
                negative in the triangle, or all lie on a line.
        """
        is_triangle = self.region == "triangle"
        returned = candidate.call(self.function, self.points)
        low = 0.0 if is_triangle else -1e6
        given = verify.reals(returned, [self.points, 2], "the points", low=low, high=1e6)
        if is_triangle:
            rows, unit = verify.rounded(given)
            points = [(x, y) for x, y in rows.tolist()]
            # A point beyond the long side is allowed: the triangle grows until it contains all.
            side = max(Fraction(1), max(x + y for x, y in points) * unit)
            whole = (side / unit) ** 2
        else:
            rows, _ = verify.rounded(given - given.mean(axis=0))
            points = [(x, y) for x, y in rows.tolist()]
            whole = Fraction(_doubled_hull(points))
            if whole == 0:
                raise CandidateOutputError("all points lie on a line; move one off it")
        areas = {corners: _doubled(*corners) for corners in combinations(points, 3)}
        smallest = min(areas, key=areas.__getitem__)
        indices = [points.index(corner) for corner in smallest]
        return Result(
            {"area": verify.below(areas[smallest] / whole)},
            feedback=f"the smallest triangle has the corners {indices} (from 0)",
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the published areas for this region and number of points."""
        records = _RECORDS.get((self.region, self.points), {})
        return {name: [{"area": value}] for name, value in records.items()}


def _doubled(a: Point, b: Point, c: Point) -> int:
    return abs(_turn(a, b, c))


def _turn(a: Point, b: Point, c: Point) -> int:
    """Return twice the signed area of a triangle; positive for a left turn."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])


def _doubled_hull(points: Sequence[Point]) -> int:
    """Return twice the area of the convex hull (Andrew 1979, its monotone chain)."""
    ordered = sorted(set(points))
    corners: list[Point] = []
    for chain in (ordered, ordered[::-1]):
        start = len(corners)
        for point in chain:
            while len(corners) >= start + 2 and _turn(corners[-2], corners[-1], point) <= 0:
                corners.pop()
            corners.append(point)
        corners.pop()
    return sum(
        a[0] * b[1] - b[0] * a[1]
        for a, b in zip(corners, [*corners[1:], *corners[:1]], strict=True)
    )
