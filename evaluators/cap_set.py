"""Scores priorities by the cap set that a greedy algorithm builds from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evolver.scoring import verify
from evolver.types import Candidate, Result

_RECORDS: Mapping[int, Mapping[str, float]] = {
    8: {"before FunSearch": 496.0, "FunSearch": 512.0},
}


@dataclass(frozen=True)
class Evaluator:
    """Builds a set of vectors over the integers mod 3 of which no three sum to zero.

    A greedy algorithm takes the vectors of length n by falling priority, equal ones in the order of
    their digits, and keeps each that forms no line with two kept ones (Romera-Paredes 2023,
    https://doi.org/10.1038/s41586-023-06924-6). So any array of numbers gives a valid cap set.

    Attributes:
        dimensions: n; there are 3**n vectors.
        function: name of the candidate's function of n that returns a number for each vector, in
            the order of `itertools.product(range(3), repeat=n)`.
    """

    dimensions: int = 8
    function: str = "priorities"

    def evaluate(self, candidate: Candidate) -> Result:
        """Return the `size` of the cap set.

        Raises:
            CandidateError: the function does not return 3**n finite numbers.
        """
        count = 3**self.dimensions
        returned = candidate.call(self.function, self.dimensions)
        priorities = verify.reals(returned, [count], "the priorities")
        digits = np.stack(np.unravel_index(np.arange(count), (3,) * self.dimensions), axis=1)
        weights = 3 ** np.arange(self.dimensions)[::-1]
        is_blocked = np.zeros(count, dtype=bool)
        kept: list[int] = []
        for index in np.argsort(-priorities, kind="stable").tolist():
            if is_blocked[index]:
                continue
            # The third point of the line through this vector and each kept one.
            third = (-(digits[kept] + digits[index]) % 3) @ weights
            is_blocked[third] = True
            is_blocked[index] = True
            kept.append(index)
        return Result({"size": float(len(kept))})

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the published sizes for this number of dimensions."""
        records = _RECORDS.get(self.dimensions, {})
        return {name: [{"size": value}] for name, value in records.items()}
