"""The kernel on the processor: four rows at once, the tile of the second factor side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


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
def _tiled(a, b, out, rows, columns, depth):  # type: ignore[no-untyped-def]
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
                for l in range(count):  # noqa: E741
                    for j in range(width):
                        tile[l, j] = b[first + l, left + j]
                whole = top + (bottom - top) // 4 * 4
                for i in range(top, whole, 4):
                    _add_four(tile, a, out, i, first, count, left, width)
                for i in range(whole, bottom):
                    _add_one(tile, a, out, i, first, count, left, width)


@njit(fastmath=True)
def _add_four(tile, a, out, i, first, count, left, width):  # type: ignore[no-untyped-def]
    one, two = out[i, left : left + width], out[i + 1, left : left + width]
    three, four = out[i + 2, left : left + width], out[i + 3, left : left + width]
    for l in range(count):  # noqa: E741
        p, q = a[i, first + l], a[i + 1, first + l]
        r, s = a[i + 2, first + l], a[i + 3, first + l]
        row = tile[l]
        for j in range(width):
            one[j] += p * row[j]
            two[j] += q * row[j]
            three[j] += r * row[j]
            four[j] += s * row[j]


@njit(fastmath=True)
def _add_one(tile, a, out, i, first, count, left, width):  # type: ignore[no-untyped-def]
    sums = out[i, left : left + width]
    for l in range(count):  # noqa: E741
        p, row = a[i, first + l], tile[l]
        for j in range(width):
            sums[j] += p * row[j]
