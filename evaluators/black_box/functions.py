"""Functions to minimise, each with the least value 0.

The forms are classical, as in the BBOB suite (Hansen 2009,
https://inria.hal.science/inria-00362633); shifts, rotations and scales are our own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BOUND = 5.0  # points lie in [-5, 5]^d
_OPTIMUM = 4.0  # and the minimum in [-4, 4]^d


def _scales(z: Array, condition: float) -> Array:
    """Return condition**(i / (d - 1)) for each axis."""
    result: Array = condition ** np.linspace(0.0, 1.0, z.shape[1])
    return result


def sphere(z: Array) -> Array:
    """Return the sum of squares."""
    values: Array = (z**2).sum(axis=1)
    return values


def ellipsoid(z: Array) -> Array:
    """Return a sum of squares of condition 10^6."""
    values: Array = (_scales(z, 1e6) * z**2).sum(axis=1)
    return values


def discus(z: Array) -> Array:
    """Return a sum of squares with one short axis."""
    values: Array = 1e6 * z[:, 0] ** 2 + (z[:, 1:] ** 2).sum(axis=1)
    return values


def bent_cigar(z: Array) -> Array:
    """Return a sum of squares with one long axis."""
    values: Array = z[:, 0] ** 2 + 1e6 * (z[:, 1:] ** 2).sum(axis=1)
    return values


def different_powers(z: Array) -> Array:
    """Return a sum of powers from 2 to 6."""
    values: Array = np.sqrt((np.abs(z) ** np.linspace(2.0, 6.0, z.shape[1])).sum(axis=1))
    return values


def rosenbrock(z: Array) -> Array:
    """Return a long bent valley (Rosenbrock 1960)."""
    x = z + 1.0
    values: Array = (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(axis=1)
    return values


def rastrigin(z: Array) -> Array:
    """Return a bowl with a grid of local minima (Rastrigin 1974)."""
    values: Array = (z**2 - 10 * np.cos(2 * np.pi * z) + 10).sum(axis=1)
    return values


def ackley(z: Array) -> Array:
    """Return a narrow hole in a rough plain (Ackley 1987)."""
    root = np.sqrt((z**2).mean(axis=1))
    waves = np.cos(2 * np.pi * z).mean(axis=1)
    values: Array = 20 - 20 * np.exp(-0.2 * root) + np.e - np.exp(waves)
    return values


FUNCTIONS: Mapping[str, Callable[[Array], Array]] = {
    function.__name__: function
    for function in (
        sphere,
        ellipsoid,
        discus,
        bent_cigar,
        different_powers,
        rosenbrock,
        rastrigin,
        ackley,
    )
}


@dataclass(frozen=True, eq=False)
class Instance:
    """A function, shifted and rotated.

    Attributes:
        name: of the function.
        shift: (d,) the minimum.
        rotation: (d, d), orthogonal.
    """

    name: str
    shift: Array
    rotation: Array

    @classmethod
    def drawn(cls, name: str, dimensions: int, rng: np.random.Generator) -> Instance:
        """Return an instance at random: a uniform shift, a uniform rotation (Stewart 1980)."""
        shift = rng.uniform(-_OPTIMUM, _OPTIMUM, dimensions)
        q, r = np.linalg.qr(rng.normal(size=(dimensions, dimensions)))
        return cls(name, shift, q * np.sign(np.diag(r)))

    def __call__(self, points: Array) -> Array:
        """Return the values (n,) at points (n, d), 0 or more."""
        return np.maximum(0.0, FUNCTIONS[self.name]((points - self.shift) @ self.rotation))
