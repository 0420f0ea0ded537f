"""Scores packings of regular hexagons into one, AlphaEvolve's appendix B.7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evolver.errors import CandidateOutputError
from evolver.scoring import verify
from evolver.types import Candidate, Result

_RECORDS: Mapping[int, Mapping[str, float]] = {
    11: {"before AlphaEvolve": 3.943, "AlphaEvolve": 3.930092, "LoongFlow": 3.9289068555},
    12: {"before AlphaEvolve": 4.0, "AlphaEvolve": 3.9419123, "EinsteinArena": 3.9416523},
}
# Every result below takes fewer than 100 float operations on numbers of magnitude below 100, each
# with a relative error of at most 2**-53: 2**-38 exceeds their total error.
_OUTWARD = 2.0**-38
_APOTHEM = np.sqrt(3) / 2
_SIXTH = np.pi / 3


@dataclass(frozen=True)
class Evaluator:
    """Measures n unit hexagons in a regular hexagon: its side.

    The centers are multiplied by the least factor at which no two hexagons overlap; the outer
    hexagon is the smallest one of orientation 0 around all. So every answer is a packing, and there
    is no tolerance to exploit. Novikov 2025, https://arxiv.org/abs/2506.13131, appendix B.7.

    Attributes:
        hexagons: n.
        function: name of the candidate's function of n that returns an (n, 3) array: x, y and the
            angle in radians of each; a hexagon of angle 0 has a corner at (1, 0) from its center.
    """

    hexagons: int = 11
    function: str = "pack"

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `side` of the outer hexagon, rounded up.

        Raises:
            CandidateError: the function does not return n finite rows, or two centers coincide.
        """
        returned = candidate.call(self.function, self.hexagons)
        rows = verify.reals(returned, [self.hexagons, 3], "the hexagons", low=-50.0, high=50.0)
        centers, angles = rows[:, :2] - rows[:, :2].mean(axis=0), rows[:, 2]
        factor, (i, j) = _spreading(centers, angles)
        if not 0.01 < factor < 100:
            raise CandidateOutputError(
                f"the centers would have to be multiplied by {factor:.3g} for hexagons {i} and {j} "
                "(from 0) to touch; return centers at a distance of about 2"
            )
        side = _outer_side(centers * factor, angles)
        return Result(
            {"side": float(side + _OUTWARD * 4)},
            feedback=f"the centers were multiplied by {factor:.9g}, so that hexagons {i} and {j} "
            "(from 0) touch",
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the published sides for this number of hexagons."""
        records = _RECORDS.get(self.hexagons, {})
        return {name: [{"side": value}] for name, value in records.items()}


def _reach(directions: NDArray[np.float64], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far unit hexagons of these angles extend from their centers in directions."""
    return np.cos(np.remainder(directions - angles + _SIXTH / 2, _SIXTH) - _SIXTH / 2)


def _spreading(
    centers: NDArray[np.float64], angles: NDArray[np.float64]
) -> tuple[float, tuple[int, int]]:
    """Return the least factor of the centers at which no hexagons overlap, and the two that touch.

    Two convex polygons are apart if and only if a normal of one of their sides separates them.
    """
    first, second = np.triu_indices(len(angles), 1)
    between = centers[second] - centers[first]
    sides = np.arange(3) * _SIXTH + _SIXTH / 2
    normals = np.concatenate(
        [angles[first, None] + sides, angles[second, None] + sides], axis=1
    )  # (pairs, 6)
    needed = _reach(normals, angles[first, None]) + _reach(normals, angles[second, None])
    there = np.abs(between[:, :1] * np.cos(normals) + between[:, 1:] * np.sin(normals))
    with np.errstate(divide="ignore"):
        factors = ((needed + _OUTWARD) / np.maximum(there - _OUTWARD, 0)).min(axis=1)
    worst = int(factors.argmax())
    return float(factors[worst]), (int(first[worst]), int(second[worst]))


def _outer_side(centers: NDArray[np.float64], angles: NDArray[np.float64]) -> float:
    """Return the side of the smallest hexagon of angle 0 around unit hexagons.

    Its center p and apothem a satisfy high_k - a <= p . n_k <= low_k + a for three normals with
    n_0 + n_2 = n_1; such a p exists if and only if `a` is one of the values below, or larger.
    """
    normals = np.arange(3.0) * _SIXTH + _SIXTH / 2
    along = centers @ np.array([np.cos(normals), np.sin(normals)])  # (n, 3)
    reach = _reach(normals[None, :], angles[:, None])
    high, low = (along + reach).max(axis=0), (along - reach).min(axis=0)
    apothem = max(
        *((high - low) / 2),
        (high[0] + high[2] - low[1]) / 3,
        (high[1] - low[0] - low[2]) / 3,
    )
    return float(apothem / _APOTHEM)
