"""Scores spheres that touch a common one, AlphaEvolve's appendix B.11."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolver.errors import CandidateOutputError
from evolver.scoring import verify
from evolver.types import Candidate, Result


@dataclass(frozen=True)
class Evaluator:
    """Counts unit spheres that touch the unit sphere at 0 and do not overlap, in d dimensions.

    The candidate returns points with integer coordinates. If the distance of any two is at least
    the largest distance from 0, their directions are at least 60 degrees apart, so that unit
    spheres around twice the unit vectors do not overlap (the lemma of Novikov
    2025, https://arxiv.org/abs/2506.13131, appendix B.11).

    Attributes:
        dimensions: d.
        most: largest number of points.
        function: name of the candidate's function of d that returns a (count, d) array.
    """

    dimensions: int = 11
    most: int = 1000
    function: str = "points"

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `count`: the points, in order, that are far enough from all kept before them.

        Private: `returned`, the number of points that the candidate returned.

        Raises:
            CandidateError: the points do not have d integer coordinates, are too many, or one is 0.
        """
        returned = candidate.call(self.function, self.dimensions)
        points = verify.integers(returned, [None, self.dimensions], "the points", largest=2**60)
        if len(points) > self.most:
            raise CandidateOutputError(
                f"{len(points)} points are too many; return at most {self.most}"
            )
        norms = (points * points).sum(axis=1)
        if min(norms) == 0:
            raise CandidateOutputError("a point is 0, the center of the common sphere; remove it")
        products = points @ points.T  # Python's integers: no overflow
        apart = norms[:, None] + norms[None, :] - 2 * products >= max(norms)
        kept: list[int] = []
        for index in range(len(points)):
            if apart[index, kept].all():
                kept.append(index)
        dropped = len(points) - len(kept)
        feedback = f"{dropped} of {len(points)} points are too near to an earlier one"
        return Result(
            {"count": float(len(kept))}, private={"returned": float(len(points))}, feedback=feedback
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the published counts for this dimension."""
        if self.dimensions != 11:
            return {}
        return {
            "before AlphaEvolve": [{"count": 592.0}],
            "AlphaEvolve": [{"count": 593.0}],
        }
