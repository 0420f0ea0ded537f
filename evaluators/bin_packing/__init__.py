"""Scores heuristics for online bin packing, FunSearch's second problem.

Items arrive one by one, and each must go into a bin at once. The heuristic runs in the sandbox; the
evaluator checks that each item is in a bin with room for it. It also checks that the heuristic did
not use later items: it gives the same items again with others after a secret point, and up to there
the packing must be the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evolver.errors import CandidateOutputError
from evolver.scoring import verify
from evolver.types import Candidate, Result

Kind = Literal["weibull", "or"]
_CAPACITIES: Mapping[Kind, int] = {"weibull": 100, "or": 150}
_HELD_OUT = 20231214  # seed of instances that do not influence selection


@dataclass(frozen=True)
class Evaluator:
    """Measures how many bins a heuristic uses beyond a lower bound.

    The candidate's function gets an item and an array of the room left in each bin that can take
    it, a fresh bin last, and returns a priority for each; the item goes into the first bin of the
    highest priority. Instances are new for each evaluation, by the rules of Romera-Paredes
    2023, https://doi.org/10.1038/s41586-023-06924-6: "weibull", sizes round(Weibull(shape 3, scale
    45)) up to 100 for bins of 100; "or", sizes uniform in 20..100 for bins of 150, as in the OR-
    Library (Falkenauer 1996).

    Attributes:
        kind: of instances.
        items: of an instance.
        instances: of an evaluation.
        held_out_items: of the instance for the private metric; 0 for none.
        function: name of the candidate's function.
    """

    kind: Kind = "weibull"
    items: int = 1000
    instances: int = 4
    held_out_items: int = 5000
    function: str = "priority"

    guest = "guest.py"

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `excess`: bins over ceil(sum of sizes / capacity), less 1, in percent, on average.

        `best_fit` is the excess of best fit on the same instances, and `saved` the difference.

        Raises:
            CandidateError: the packing is invalid, or depends on later items.
        """
        rng = np.random.default_rng(candidate.rng.getrandbits(63))
        drawn = [self._draw(rng, self.items) for _ in range(self.instances)]
        found = [self._excess(items, self._pack(candidate, items)) for items in drawn]
        best_fit = [self._excess(items, best_fit_of(items, self._capacity)) for items in drawn]
        self._check_online(candidate, drawn[0], candidate.rng)
        metrics = {
            "excess": float(np.mean(found)),
            "best_fit": float(np.mean(best_fit)),
            "saved": float(np.mean(best_fit) - np.mean(found)),
        }
        private = {}
        if self.held_out_items:
            items = self._draw(np.random.default_rng(_HELD_OUT), self.held_out_items)
            private["held_out_excess"] = self._excess(items, self._pack(candidate, items))
        return Result(metrics, private)

    @property
    def _capacity(self) -> int:
        return _CAPACITIES[self.kind]

    def _draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        if self.kind == "or":
            return rng.integers(20, 101, count)
        sizes = np.rint(45 * rng.weibull(3.0, count))
        return np.clip(sizes, 1, self._capacity).astype(np.int64)

    def _pack(self, candidate: Candidate, items: NDArray[np.int64]) -> list[int]:
        """Let the candidate pack the items and check the packing; return each one's bin."""
        returned = candidate.call("guest:pack", self.function, items, self._capacity)
        bins: list[int] = verify.integers(returned, [len(items)], "the bins").tolist()
        room: dict[int, int] = {}
        for item, place in zip(items.tolist(), bins, strict=True):
            left = room.get(place, self._capacity) - item
            if left < 0:
                raise CandidateOutputError(f"bin {place} has no room for an item of size {item}")
            room[place] = left
        return bins

    def _excess(self, items: NDArray[np.int64], bins: Sequence[int]) -> float:
        least = -(-int(items.sum()) // self._capacity)
        return 100.0 * (len(set(bins)) / least - 1)

    def _check_online(self, candidate: Candidate, items: NDArray[np.int64], rng: Random) -> None:
        """Raise CandidateOutputError if other later items change the packing before them."""
        cut = rng.randrange(len(items) // 4, len(items))
        future = self._draw(np.random.default_rng(rng.getrandbits(63)), len(items) - cut)
        once = self._pack(candidate, items)
        again = self._pack(candidate, np.concatenate([items[:cut], future]))
        if once[:cut] != again[:cut]:
            raise CandidateOutputError(
                "the same items were packed differently when other items followed: an online "
                "heuristic must not depend on later items, nor on chance"
            )


def best_fit_of(items: NDArray[np.int64], capacity: int) -> list[int]:
    """Put each item into the bin with the least room left after it; return each one's bin."""
    room = np.full(len(items), capacity, dtype=np.int64)
    opened, bins = 0, []
    for item in items.tolist():
        left = room[:opened] - item
        fitting = np.flatnonzero(left >= 0)
        place = int(fitting[left[fitting].argmin()]) if fitting.size else opened
        opened = max(opened, place + 1)
        room[place] -= item
        bins.append(place)
    return bins
