"""The kernel on a GPU: neighbouring tiles of the result share data in the L2 cache."""

# ruff: noqa: N803 - names of compile-time constants are in capitals
from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

_GROUP = 8  # rows of tiles that are computed together
_LARGE = 128 * 128  # entries of a tile from which on more threads compute it
TOO_LARGE = triton.OutOfResources  # for tiles that the GPU cannot hold


def multiply(tiles: tuple[int, int, int], a: Any, b: Any, out: Any) -> None:
    """Set out to the product of a and b.

    Args:
        tiles: rows, columns and depth; powers of two from 16 on.
        a: m x k.
        b: k x n.
        out: m x n.
    """
    rows, columns, depth = tiles
    (m, k), n = a.shape, b.shape[1]
    grid = (triton.cdiv(m, rows) * triton.cdiv(n, columns),)
    warps = 8 if rows * columns >= _LARGE else 4
    _tiled[grid](a, b, out, m, k, n, rows, columns, depth, _GROUP, num_warps=warps, num_stages=3)


@triton.jit
def _tiled(  # type: ignore[no-untyped-def]  # Triton reads the annotations
    a, b, out, m, k, n,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0)
    high, wide = tl.cdiv(m, ROWS), tl.cdiv(n, COLUMNS)
    first = place // (GROUP * wide) * GROUP
    group = tl.minimum(high - first, GROUP)
    inside = place % (GROUP * wide)
    i = (first + inside % group) * ROWS + tl.arange(0, ROWS)
    j = inside // group * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, k, DEPTH):
        inner = start + tl.arange(0, DEPTH)
        left_mask = (i[:, None] < m) & (inner[None, :] < k)
        right_mask = (inner[:, None] < k) & (j[None, :] < n)
        left = tl.load(a + i[:, None] * k + inner[None, :], mask=left_mask, other=0.0)
        right = tl.load(b + inner[:, None] * n + j[None, :], mask=right_mask, other=0.0)
        total = tl.dot(left, right, total, input_precision="ieee")
    mask = (i[:, None] < m) & (j[None, :] < n)
    tl.store(out + i[:, None] * n + j[None, :], total.to(out.dtype.element_ty), mask=mask)
