"""Scores black-box optimisers, by the comparison of EvoLLM.

The evaluator computes the functions, with secret shifts and rotations that are new for each
evaluation; the candidate asks for points and gets their values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evolver.errors import UsageError
from evolver.scoring import verify
from evolver.types import Candidate, Result

from .functions import BOUND, FUNCTIONS, Instance

Array = NDArray[np.float64]
PRECISION = 1e-8  # of a function's value; smaller differences from the least one do not count
STEPS = (
    2.0,
    1.0,
    0.5,
    0.25,
)  # standard deviations of hill climbing; the best one counts on each function


@dataclass(frozen=True)
class Evaluator:
    """Measures an optimiser against random search and Gaussian hill climbing.

    The candidate's function gets the points measured so far, an array (n, d), their values (n,),
    with n = 0 at first, and how many more may be measured; it returns the next points, (k, d) in
    [-5, 5]. Surplus points are ignored. All three methods have the same number of points on the
    same instances. Lange 2024, https://arxiv.org/abs/2402.18381, compares a model that proposes
    points with the same two methods; here a program takes the model's place.

    Attributes:
        dimensions: d.
        points: how many may be measured of an instance.
        instances: of each function in an evaluation.
        functions: names of functions; empty for all.
        function: name of the candidate's function.
    """

    dimensions: int = 5
    points: int = 200
    instances: int = 3
    functions: tuple[str, ...] = ()
    function: str = "ask"

    def __post_init__(self) -> None:
        for name in self.functions:
            if name not in FUNCTIONS:
                raise UsageError(f"there is no function '{name}'; there are {', '.join(FUNCTIONS)}")

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `gained`: digits of the least value found, less those of hill climbing.

        A digit is a factor of 10 in the difference from the function's least value, down to 1e-8.
        `over_random` is the same in comparison with random search; `wins` is the share of instances
        with a lower value than hill climbing found. All are means over instances. Hill climbing
        uses the best of four step sizes on each function.

        Raises:
            CandidateError: the points are not finite, or outside the box.
        """
        rng = np.random.default_rng(candidate.rng.getrandbits(63))
        names = self.functions or tuple(FUNCTIONS)
        gained: dict[str, Array] = {}
        over_random = []
        for name in names:
            drawn = [Instance.drawn(name, self.dimensions, rng) for _ in range(self.instances)]
            own = _digits([self._search(candidate, instance) for instance in drawn])
            climbed = _digits([self._climb(instance, rng) for instance in drawn])
            gained[name] = own - climbed[:, climbed.mean(axis=0).argmax()]
            over_random.append(own - _digits([self._guess(one, rng) for one in drawn]))
        every = np.concatenate(list(gained.values()))
        return Result(
            {
                "gained": float(every.mean()),
                "over_random": float(np.mean(over_random)),
                "wins": float((every > 0).mean()),
            },
            feedback="digits beyond hill climbing: "
            + ", ".join(f"{name} {digits.mean():+.2f}" for name, digits in gained.items()),
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the score of hill climbing, 0 by definition."""
        return {"hill climbing": [{"gained": 0.0}]}

    def _search(self, candidate: Candidate, instance: Instance) -> float:
        """Let the candidate minimise an instance; return the least value found."""
        points, values = np.empty((0, self.dimensions)), np.empty(0)
        while len(points) < self.points:
            left = self.points - len(points)
            returned = candidate.call(self.function, points, values, left)
            asked = verify.reals(
                returned, [None, self.dimensions], "the points", low=-BOUND, high=BOUND
            )[:left]
            points = np.concatenate([points, asked])
            values = np.concatenate([values, instance(asked)])
        return float(values.min())

    def _climb(self, instance: Instance, rng: np.random.Generator) -> Array:
        """Return the least value that hill climbing from the center finds with each of STEPS."""
        steps = np.array(STEPS)[:, None]
        best = np.zeros((len(steps), self.dimensions))
        least = instance(best)
        for _ in range(self.points - 1):
            near = np.clip(best + steps * rng.normal(size=best.shape), -BOUND, BOUND)
            values = instance(near)
            is_better = values <= least
            best = np.where(is_better[:, None], near, best)
            least = np.where(is_better, values, least)
        return least

    def _guess(self, instance: Instance, rng: np.random.Generator) -> float:
        """Return the least value found by random search."""
        return float(instance(rng.uniform(-BOUND, BOUND, (self.points, self.dimensions))).min())


def _digits(values: Sequence[float] | Sequence[Array]) -> Array:
    """Return -log10 of differences from the least value."""
    result: Array = -np.log10(np.maximum(values, PRECISION))
    return result
