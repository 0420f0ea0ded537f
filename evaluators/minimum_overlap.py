"""Scores step functions by Erdős's minimum overlap problem, AlphaEvolve's appendix B.5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from evolver.errors import CandidateOutputError
from evolver.scoring import verify
from evolver.types import Candidate, Result


@dataclass(frozen=True)
class Evaluator:
    """Bounds the overlap constant C5 from above, by a step function.

    For h: [0, 2] -> [0, 1] with integral 1, C5 <= max over k of the integral of
    h(x) (1 - h(x + k)); for n equal steps that is 2/n times the largest correlation of h and 1 - h.
    Novikov 2025, https://arxiv.org/abs/2506.13131, appendix B.5; Haugland 2016,
    https://arxiv.org/abs/1609.08000.

    Attributes:
        function: name of the candidate's function without arguments that returns the heights.
        most_steps: largest number of heights.
    """

    function: str = "heights"
    most_steps: int = 4096

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `bound`, rounded up, and `steps`.

        If the mean of the heights is not 1/2, it is corrected first: all move towards 0, or towards
        1, by the same share of their distance.

        Raises:
            CandidateError: the heights are not finite numbers in [0, 1], or are too many.
        """
        heights = verify.reals(
            candidate.call(self.function), [None], "the heights", low=0.0, high=1.0
        )
        if len(heights) > self.most_steps:
            raise CandidateOutputError(
                f"{len(heights)} heights are too many; return at most {self.most_steps}"
            )
        values, one = _balanced([Fraction(x) for x in heights.tolist()])
        rest = [one - value for value in values]
        overlap = verify.convolution(values, rest[::-1])
        # Outside [0, 2] h is 0 and 1 - h is cut off: only the common part counts.
        bound = verify.above(Fraction(2 * max(overlap), len(values) * one * one))
        shift = overlap.index(max(overlap)) - len(values) + 1
        return Result(
            {"bound": bound, "steps": float(len(values))},
            feedback=f"the overlap is largest at a shift by {shift} of {len(values)} steps",
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the published bounds."""
        return {
            "before AlphaEvolve": [{"bound": 0.380927}],
            "AlphaEvolve": [{"bound": 0.3809230351}],
            "TTT-Discover": [{"bound": 0.3808753232}],
        }


def _balanced(heights: Sequence[Fraction]) -> tuple[list[int], int]:
    """Return integers and what stands for 1, so that their mean is exactly half of it."""
    count, total = len(heights), sum(heights)
    if 2 * total > count:
        part = Fraction(count, 2) / total
        mended = [height * part for height in heights]
    else:
        part = Fraction(count, 2) / (count - total)
        mended = [1 - (1 - height) * part for height in heights]
    one = count << verify.BITS  # so that half of the sum is whole
    values = [int(height * one) for height in mended]
    missing = count * one // 2 - sum(values)  # less than one unit for each height
    for index in sorted(range(count), key=values.__getitem__):
        added = min(missing, one - values[index])
        values[index] += added
        missing -= added
        if not missing:
            break
    return values, one
