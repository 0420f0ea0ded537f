# ruff: noqa: N803 - constants of the compiler are written so
"""As somebody would write it by hand: large tiles, several stages, an order that shares the L2."""

import triton
import triton.language as tl


@triton.jit
def product(
    a, b, out, m, k, n,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0)
    high, wide = tl.cdiv(m, ROWS), tl.cdiv(n, COLUMNS)
    first = place // (GROUP * wide) * GROUP
    group = tl.minimum(high - first, GROUP)
    inside = place % (GROUP * wide)
    top = (first + inside % group) * ROWS
    left = inside // group * COLUMNS
    i = top + tl.arange(0, ROWS)
    j = left + tl.arange(0, COLUMNS)
    # Of rows and columns outside any will do: what is computed from them is not stored.
    rows, columns = i % m, j % n
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, k, DEPTH):
        depth = start + tl.arange(0, DEPTH)
        x = tl.load(a + rows[:, None] * k + depth[None, :], mask=depth[None, :] < k, other=0.0)
        y = tl.load(b + depth[:, None] * n + columns[None, :], mask=depth[:, None] < k, other=0.0)
        total = tl.dot(x, y, total)
    mask = (i[:, None] < m) & (j[None, :] < n)
    tl.store(out + i[:, None] * n + j[None, :], total.to(out.dtype.element_ty), mask=mask)


def multiply(a, b, out):
    m, k = a.shape
    n = b.shape[1]
    rows, columns, depth = (128, 256, 64) if m * n >= 2048 * 2048 else (64, 128, 64)
    grid = (triton.cdiv(m, rows) * triton.cdiv(n, columns),)
    warps = 8 if columns == 256 else 4
    product[grid](a, b, out, m, k, n, rows, columns, depth, 8, num_warps=warps, num_stages=3)
