"""Measures the error of a straight-line program, far below the resolution of float64."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np

from evolver.errors import CandidateOutputError
from evolver.scoring.straightline import Array, DoubleDouble, StraightLine

from . import target

RANDOM_DRAWS = 512
SMALLEST_ERROR = 1e-30  # the resolution of the arithmetic; smaller errors are reported as this
ZOOM_ROUNDS = 9  # 33 points each: down to the spacing of floats
ZOOM_POINTS = 33
MOST_ZEROS = 16  # reported points where a divisor is 0


@dataclass(frozen=True)
class Measurement:
    """The largest relative error of a program, its place, and the error in float64 arithmetic."""

    error: float
    float64_error: float
    worst_x: float
    sign_changes: int  # of the error over the interval
    divided_by_zero: tuple[float, ...] = ()  # some of the points where a divisor is exactly 0


def measure(line: StraightLine, low: float, high: float, rng: Random) -> Measurement:
    """Measure a program at Chebyshev points, secret random points, and around its poles.

    Raises:
        CandidateOutputError: the program is infinite or undefined somewhere on the interval.
    """
    grid, pool = target.chebyshev(low, high), target.pool(low, high)
    drawn = np.random.default_rng(rng.getrandbits(64)).integers(len(pool.x), size=RANDOM_DRAWS)
    x = np.concatenate([grid.x, pool.x[drawn]])
    wanted = DoubleDouble(
        np.concatenate([grid.values.high, pool.values.high[drawn]]),
        np.concatenate([grid.values.low, pool.values.low[drawn]]),
    )
    with np.errstate(all="ignore"):
        near_poles = _around_poles(line, grid.x)
        if near_poles.size:
            x = np.concatenate([x, near_poles])
            exact = target.exp2(near_poles)
            wanted = DoubleDouble(
                np.concatenate([wanted.high, exact.high]), np.concatenate([wanted.low, exact.low])
            )
        exactly = DoubleDouble.of(line.run(DoubleDouble.of(x))[-1])
        error = np.broadcast_to(((exactly - wanted) / wanted).high, x.shape)
        values = line.run(x)
        in_float64 = np.broadcast_to(values[-1], x.shape)
        rounded = np.abs(((DoubleDouble.of(in_float64) - wanted) / wanted).high)
    zero = np.zeros(x.shape, dtype=bool)
    for index in _divisors(line):
        zero |= np.broadcast_to(values[index] == 0, x.shape)
    worst = int(np.argmax(np.where(np.isfinite(error), np.abs(error), np.inf)))
    if not np.isfinite(error[worst]):
        raise CandidateOutputError(f"the function has no finite value at x = {float(x[worst])!r}")
    signs = np.sign(error[: grid.x.size])
    signs = signs[signs != 0]
    return Measurement(
        error=max(float(abs(error[worst])), SMALLEST_ERROR),
        float64_error=float(np.max(np.where(np.isfinite(rounded), rounded, 1e300))),
        worst_x=float(x[worst]),
        sign_changes=int(np.count_nonzero(signs[1:] != signs[:-1])),
        divided_by_zero=tuple(x[zero][:MOST_ZEROS].tolist()),
    )


def _around_poles(line: StraightLine, grid: Array) -> Array:
    """Return points around every sign change of a denominator between grid points.

    A pole of the output gives an enormous error there; a pole that a later division cancels, as in
    ``a / (x + b / x)``, does not.
    """
    denominators = _divisors(line)
    if not denominators:
        return np.empty(0)
    values = line.run(grid)
    points: list[Array] = []
    for index in denominators:
        signs = np.sign(values[index])
        nonzero = np.flatnonzero(signs)
        for place in np.flatnonzero(signs[nonzero][1:] != signs[nonzero][:-1]):
            points.append(_zoomed(line, index, grid[nonzero[place]], grid[nonzero[place + 1]]))
    return np.unique(np.concatenate(points)) if points else np.empty(0)


def _divisors(line: StraightLine) -> list[int]:
    """Return the nodes that depend on x and are divisors."""
    dependent = line.depends("x")
    return sorted({node.right for node in line.nodes if node.kind == "/" and dependent[node.right]})


def _zoomed(line: StraightLine, index: int, low: float, high: float) -> Array:
    """Return nested grids around a sign change of node `index` between two points."""
    points: list[Array] = []
    for _ in range(ZOOM_ROUNDS):
        inner = np.linspace(low, high, ZOOM_POINTS)
        points.append(inner[1:-1])
        signs = np.sign(line.run(inner)[index])
        changes = np.flatnonzero(signs[1:] * signs[:-1] <= 0)
        if not changes.size:
            break
        low, high = inner[changes[0]], inner[changes[0] + 1]
    return np.concatenate(points)
