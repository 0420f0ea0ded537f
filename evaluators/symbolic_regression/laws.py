"""The formulas to find, and the ranges of their points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ranges = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Law:
    """A formula.

    Attributes:
        compute: values from an array for each input.
        within: range of each input for the fitted points.
        beyond: the same for extrapolation, outside `within` in at least one input.
        source: of the formula.
    """

    compute: Callable[..., Array]
    within: Ranges
    beyond: Ranges
    source: str = "own"

    def draw(self, rng: np.random.Generator, count: int, *, beyond: bool = False) -> Points:
        """Return random points of the formula."""
        ranges = self.beyond if beyond else self.within
        inputs = tuple(rng.uniform(low, high, count) for low, high in ranges)
        return Points(inputs, self.compute(*inputs))


@dataclass(frozen=True, eq=False)
class Points:
    """Values of a formula at m points.

    Attributes:
        inputs: an array (m,) for each input.
        wanted: (m,) values.
    """

    inputs: tuple[Array, ...]
    wanted: Array

    def residuals(self, values: Array) -> Array:
        """Return the misfit of values (..., m) in units of the standard deviation of `wanted`."""
        misfit: Array = (values - self.wanted) / self.wanted.std()
        return misfit


_KOZA = "Koza 1992, https://doi.org/10.1007/BF00175355"
_UY = "Uy 2011, https://doi.org/10.1007/s10710-010-9121-2"
_UDRESCU = "Udrescu 2020, https://arxiv.org/abs/1905.11481"

LAWS: Mapping[str, Law] = {
    "quartic": Law(lambda x: x**4 + x**3 + x**2 + x, [(-1, 1)], [(1, 2)], _KOZA),
    "nguyen-5": Law(lambda x: np.sin(x**2) * np.cos(x) - 1, [(-1, 1)], [(1, 2)], _UY),
    "nguyen-7": Law(lambda x: np.log(x + 1) + np.log(x**2 + 1), [(0, 2)], [(2, 4)], _UY),
    "gaussian": Law(
        lambda x: np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), [(1, 3)], [(0, 1)], _UDRESCU
    ),
    "mass": Law(
        lambda m, v, c: m / np.sqrt(1 - v**2 / c**2),
        [(1, 5), (1, 2), (3, 10)],
        [(1, 5), (2, 2.9), (3, 10)],
        _UDRESCU,
    ),
    "kepler": Law(lambda a, m: np.sqrt(a**3 / m), [(0.3, 5), (0.5, 3)], [(5, 30), (0.5, 3)]),
    "damped": Law(lambda t: 1.3 * np.exp(-0.35 * t) * np.cos(2.2 * t), [(0, 6)], [(6, 9)]),
    "logistic": Law(lambda x: 1.7 / (1 + np.exp(0.92 - 2.3 * x)), [(-2, 2)], [(-4, -2)]),
}
