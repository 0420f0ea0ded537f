"""The function to approximate, at the points where candidates are measured."""

from __future__ import annotations

from functools import lru_cache

import mpmath
import numpy as np

from evolver.scoring.straightline import Array, DoubleDouble, Samples

DIGITS = 50  # of mpmath
CHEBYSHEV_POINTS = 1025
RANDOM_POINTS = 4096  # a pool, from which each evaluation draws
FIT_POINTS = 32
LEVELLING_POINTS = 193
_POOL_SEED = 20260


def exp2(x: Array) -> DoubleDouble:
    """Return 2**x for float64 points, correct to about 31 digits. Slow: 15 microseconds each."""
    with mpmath.workdps(DIGITS):
        return DoubleDouble.of_mpf([mpmath.mpf(2) ** mpmath.mpf(float(point)) for point in x])


@lru_cache
def chebyshev(low: float, high: float) -> Samples:
    """Return the samples at the Chebyshev points of the second kind, ends included, ascending."""
    angles = np.linspace(np.pi, 0.0, CHEBYSHEV_POINTS)
    x = (low + high) / 2 + (high - low) / 2 * np.cos(angles)
    x[0], x[-1] = low, high
    return Samples(x, exp2(x))


@lru_cache
def pool(low: float, high: float) -> Samples:
    """Return the samples at uniformly random points, the pool of each evaluation."""
    x = np.random.default_rng(_POOL_SEED).uniform(low, high, RANDOM_POINTS)
    return Samples(x, exp2(x))


@lru_cache
def fit_points(low: float, high: float) -> Samples:
    """Return the samples at the Chebyshev points of the first kind, without the ends."""
    angles = (np.arange(FIT_POINTS) + 0.5) * np.pi / FIT_POINTS
    x = (low + high) / 2 - (high - low) / 2 * np.cos(angles)
    return Samples(x, exp2(x))


@lru_cache
def levelling_points(low: float, high: float) -> Samples:
    """Return the samples at Chebyshev points whose first and last are slightly inside.

    A form with c/x has its limit at x = 0, but no derivative in floating point.
    """
    inset = 1e-9 * (high - low)
    angles = np.linspace(np.pi, 0.0, LEVELLING_POINTS)
    x = (low + high) / 2 + (high - low) / 2 * np.cos(angles)
    x[0], x[-1] = low + inset, high - inset
    return Samples(x, exp2(x))
