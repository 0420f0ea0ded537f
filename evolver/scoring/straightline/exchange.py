"""The exchange of Remez 1934: the coefficients whose largest error on [0, 1] is the smallest.

It uses mpmath's arithmetic, in the precision of `mpmath.workdps`; 50 digits suffice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import mpmath
from mpmath import mpf

GRID = 24  # points for each extremum, in the search for extrema
EXCHANGES = 30
INTERPOLATIONS = 12
LEVEL = mpf("1e-6")  # relative spread of the extrema at which an exchange is done

Number = Any  # an mpmath number
Coefficients = Sequence[Number]
Error = Callable[[Coefficients, Number], Number]  # (coefficients, x) -> relative error


def chebyshev(count: int) -> list[Number]:
    """Return the Chebyshev points of [0, 1]."""
    return [(1 - mpmath.cos((2 * i + 1) * mpmath.pi / (2 * count))) / 2 for i in range(count)]


def _slopes(error: Error, free: Coefficients, x: Number) -> list[Number]:
    """Return the derivative by each coefficient; at 50 digits a difference gives 25 of them."""
    here, found = error(free, x), []
    for i, coefficient in enumerate(free):
        step = mpf("1e-25") * max(abs(coefficient), mpf("1e-10"))
        moved = [*free[:i], coefficient + step, *free[i + 1 :]]
        found.append((error(moved, x) - here) / step)
    return found


def _extrema(error: Callable[[Number], Number], count: int) -> list[tuple[Number, Number]]:
    """Return (x, error) of the extrema between sign changes, each refined by a parabola."""
    steps = GRID * count
    xs = [(1 - mpmath.cos(i * mpmath.pi / steps)) / 2 for i in range(steps + 1)]
    errors = [error(x) for x in xs]
    if errors[0] == 0:  # a form that is 1 at 0 whatever its coefficients has no extremum there
        errors[0] = errors[1]
    borders = [i for i in range(1, steps + 1) if (errors[i] < 0) != (errors[i - 1] < 0)]
    found = []
    for low, high in pairwise([0, *borders, steps + 1]):
        i = max(range(low, high), key=lambda index: abs(errors[index]))
        best = (xs[i], errors[i])
        if 0 < i < steps:
            best = max(best, _vertex(error, xs[i - 1 : i + 2], errors[i - 1 : i + 2]), key=_size)
        found.append(best)
    return found


def _size(point: tuple[Number, Number]) -> Number:
    return abs(point[1])


def _vertex(
    error: Callable[[Number], Number], xs: Sequence[Number], errors: Sequence[Number]
) -> tuple[Number, Number]:
    left, right = (
        (errors[1] - errors[0]) / (xs[1] - xs[0]),
        (errors[2] - errors[1]) / (xs[2] - xs[1]),
    )
    bend = (right - left) / (xs[2] - xs[0])
    x = xs[1] if bend == 0 else (xs[0] + xs[1]) / 2 - left / (2 * bend)
    x = min(max(x, xs[0]), xs[2])
    return x, error(x)


def least_error(error: Error, start: Coefficients) -> Number:
    """Return the smallest that the largest error on [0, 1] can be.

    Args:
        error: at its best it has as many alternating extrema as free coefficients, plus one.
        start: coefficients near the best ones.

    Raises:
        ArithmeticError: the exchange does not settle; the start was too far away.
    """
    free = _meeting(error, start)
    wanted = len(free) + 1
    points = _extrema(partial(error, free), wanted)
    for _ in range(EXCHANGES):
        if len(points) < wanted:
            break
        while len(points) > wanted:
            points.pop(0 if _size(points[0]) < _size(points[-1]) else -1)
        sizes = [_size(point) for point in points]
        if max(sizes) - min(sizes) < LEVEL * max(sizes):
            return max(sizes)
        levels = [[-1 if here > 0 else 1] for _, here in points]
        levelled = _newton_step(error, free, points, levels)
        for part in (mpf(1), mpf(1) / 2, mpf(1) / 4, mpf(1) / 8):  # not so far that extrema vanish
            trial = [old + part * (new - old) for old, new in zip(free, levelled, strict=True)]
            points = _extrema(partial(error, trial), wanted)
            if len(points) >= wanted:
                break
        free = trial
    raise ArithmeticError("the exchange does not settle; start nearer to the best coefficients")


def _newton_step(
    error: Error,
    free: Coefficients,
    points: Sequence[tuple[Number, Number]],
    levels: Sequence[Sequence[int]],
) -> list[Number]:
    """Return the coefficients with which, to first order, the errors at the points are levelled.

    Args:
        error: the relative error.
        free: the n coefficients now.
        points: (x, error there).
        levels: for each point the factors of the unknown levels: none to make the errors vanish.
    """
    matrix = mpmath.matrix(len(points), len(points))
    right = mpmath.matrix(len(points), 1)
    for row, (x, here) in enumerate(points):
        slopes = _slopes(error, free, x)
        for column, factor in enumerate([*slopes, *levels[row]]):
            matrix[row, column] = factor
        right[row] = -here
    solution = mpmath.lu_solve(matrix, right)
    return [coefficient + solution[i] for i, coefficient in enumerate(free)]


def _meeting(error: Error, start: Coefficients) -> list[Number]:
    """Return coefficients near the start with which the error vanishes at Chebyshev points."""
    free = list(start)
    for _ in range(INTERPOLATIONS):
        points = [(x, error(free, x)) for x in chebyshev(len(free))]
        if max(map(_size, points)) < mpf("1e-40"):
            break
        free = _newton_step(error, free, points, [[]] * len(points))
    return free
