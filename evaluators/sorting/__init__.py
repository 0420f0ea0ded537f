"""Scores a sort in C by its comparisons, which the evaluator answers.

The items never leave the evaluator's process: the candidate knows only the results of comparisons,
and each one is counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from evolver.errors import CandidateOutputError, UsageError
from evolver.scoring import compiling, devices, verify
from evolver.types import Candidate, Result

_DISPLACED = 0.05  # of the items of an almost sorted input


@dataclass(frozen=True)
class Evaluator:
    """Measures how many comparisons a sort takes beyond the lower bound of the mean.

    The candidate's function is `void sort(int n, int *order, int (*before)(int, int))`: before(i,
    j) is 1 if item i comes before item j, else 0, and order[k] is the item that comes k-th. The
    items are distinct, in random order and new for each evaluation. No sort takes fewer than
    log2(n!) comparisons on average over all orders (Knuth 1998, The Art of Computer Programming 3,
    5.3.1). The only library functions that a sort may call are those that manage memory.

    Attributes:
        items: n.
        sorts: number of random orders in an evaluation.
        function: name of the candidate's function.
    """

    items: int = 40
    sorts: int = 10
    function: str = "sort"

    guest = "guest.py"

    def __post_init__(self) -> None:
        if self.items < 3:
            raise UsageError(f"items is {self.items}; it must be 3 or more")

    def check_host(self, gpus: Sequence[int]) -> None:
        """Raise UsageError if there is no compiler."""
        devices.require_compiler()

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `excess`: comparisons over log2(n!), less 1, in percent; and `comparisons`.

        `almost_sorted` is the number of comparisons for an input with one in twenty items
        displaced.

        Raises:
            CandidateError: it does not compile, calls a function of a library, crashes, or does not
                sort.
        """
        compiling.compile_program(candidate, "sort", ("-O1",), calls=compiling.MEMORY)
        rng = candidate.rng
        inputs = [rng.sample(range(self.items), self.items) for _ in range(self.sorts)]
        *counts, almost = self._sort(candidate, [*inputs, self._almost_sorted(rng)])
        mean = sum(counts) / len(counts)
        return Result(
            {
                "excess": 100.0 * (mean / self._least - 1),
                "comparisons": mean,
                "almost_sorted": float(almost),
            },
            feedback=f"{min(counts)} to {max(counts)} comparisons for {self.items} items; "
            f"on average no sort takes fewer than {self._least:.1f}",
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the information-theoretic bound, which no sort reaches for most n."""
        return {"no sort takes fewer": [{"excess": 0.0, "comparisons": self._least}]}

    @property
    def _least(self) -> float:
        return math.lgamma(self.items + 1) / math.log(2)

    def _sort(self, candidate: Candidate, inputs: Sequence[Sequence[int]]) -> list[int]:
        """Let the candidate sort inputs; return the number of comparisons for each.

        Args:
            candidate: after compilation.
            inputs: permutations of range(n): the position of each item.
        """
        counts = [0] * len(inputs)
        waiting = list(range(len(inputs)))
        reply = candidate.call("guest:begin", "sort.so", self.function, self.items, len(inputs))
        while True:
            if not isinstance(reply, list) or len(reply) != len(waiting):
                raise CandidateOutputError("the guest returned no request for each sort")
            answers: list[list[int]] = []
            for number, asked in zip(waiting, reply, strict=True):
                said = verify.integers(asked, [None], "a request of the sort").tolist()
                if len(said) == 2:
                    answers.append([number, self._answer(inputs[number], *said)])
                    counts[number] += 1
                else:
                    self._check(inputs[number], said)
            if not answers:
                return counts
            if max(counts) > self.items**2:
                raise CandidateOutputError(
                    f"the sort makes more than {self.items**2} comparisons; it must make fewer"
                )
            waiting = [number for number, _ in answers]
            reply = candidate.call("guest:answer", answers)

    def _answer(self, places: Sequence[int], one: int, other: int) -> int:
        if not (0 <= one < self.items and 0 <= other < self.items):
            raise CandidateOutputError(f"before({one}, {other}): items are 0 to {self.items - 1}")
        return int(places[one] < places[other])

    def _check(self, places: Sequence[int], order: Sequence[int]) -> None:
        if sorted(order) != list(range(self.items)):
            raise CandidateOutputError(f"order must hold each item from 0 to {self.items - 1} once")
        for place, item in enumerate(order):
            if places[item] != place:
                raise CandidateOutputError(f"the items are not sorted: {item} comes too early")

    def _almost_sorted(self, rng: Random) -> list[int]:
        keys = list(range(self.items))
        for _ in range(math.ceil(_DISPLACED * self.items)):
            keys.insert(rng.randrange(self.items), keys.pop(rng.randrange(self.items)))
        return keys
