import triton
import triton.language as tl


# EVOLVE-BLOCK-START
@triton.jit
def product(a, b, out, m, k, n, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr):
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    j = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, k, DEPTH):
        depth = start + tl.arange(0, DEPTH)
        left = tl.load(
            a + i[:, None] * k + depth[None, :],
            mask=(i[:, None] < m) & (depth[None, :] < k),
            other=0.0,
        )
        right = tl.load(
            b + depth[:, None] * n + j[None, :],
            mask=(depth[:, None] < k) & (j[None, :] < n),
            other=0.0,
        )
        total = tl.dot(left, right, total, input_precision="ieee")
    tl.store(
        out + i[:, None] * n + j[None, :],
        total.to(out.dtype.element_ty),
        mask=(i[:, None] < m) & (j[None, :] < n),
    )


def multiply(a, b, out):
    m, k = a.shape
    n = b.shape[1]
    rows, columns, depth = 32, 32, 32
    grid = (triton.cdiv(m, rows), triton.cdiv(n, columns))
    product[grid](a, b, out, m, k, n, ROWS=rows, COLUMNS=columns, DEPTH=depth, num_warps=4)


# EVOLVE-BLOCK-END
