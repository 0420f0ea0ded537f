"""The kernel on the processor: four rows at a time, with a contiguous tile of the second factor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

TOO_LARGE: tuple[type[Exception], ...] = ()  # the processor can hold all tiles


def multiply(tiles: tuple[int, int, int], a: Any, b: Any, out: Any) -> None:
    """Set out to the product of a and b.

    Args:
        tiles: rows, columns and depth.
        a: m x k.
        b: k x n.
        out: m x n.
    """
    _tiled(a, b, out, *tiles)


@njit(fastmath=True)
def _tiled(a: Any, b: Any, out: Any, rows: int, columns: int, depth: int) -> None:
    m, k = a.shape
    n = b.shape[1]
    tile = np.empty((min(depth, k), min(columns, n)), b.dtype)
    out[:] = 0
    for top in range(0, m, rows):
        bottom = min(top + rows, m)
        for left in range(0, n, columns):
            width = min(columns, n - left)
            for first in range(0, k, depth):
                count = min(depth, k - first)
                for inner in range(count):
                    for j in range(width):
                        tile[inner, j] = b[first + inner, left + j]
                whole = top + (bottom - top) // 4 * 4
                for i in range(top, whole, 4):
                    _add_four(tile, a, out, i, first, count, left, width)
                for i in range(whole, bottom):
                    _add_one(tile, a, out, i, first, count, left, width)


@njit(fastmath=True)
def _add_four(
    tile: Any, a: Any, out: Any, i: int, first: int, count: int, left: int, width: int
) -> None:
    one, two = out[i, left : left + width], out[i + 1, left : left + width]
    three, four = out[i + 2, left : left + width], out[i + 3, left : left + width]
    for inner in range(count):
        p, q = a[i, first + inner], a[i + 1, first + inner]
        r, s = a[i + 2, first + inner], a[i + 3, first + inner]
        row = tile[inner]
        for j in range(width):
            one[j] += p * row[j]
            two[j] += q * row[j]
            three[j] += r * row[j]
            four[j] += s * row[j]


@njit(fastmath=True)
def _add_one(
    tile: Any, a: Any, out: Any, i: int, first: int, count: int, left: int, width: int
) -> None:
    sums = out[i, left : left + width]
    for inner in range(count):
        p, row = a[i, first + inner], tile[inner]
        for j in range(width):
            sums[j] += p * row[j]
