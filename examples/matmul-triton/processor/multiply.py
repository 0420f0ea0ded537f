from numba import njit


# EVOLVE-BLOCK-START
@njit
def product(a, b, out):
    out[:] = 0
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for k in range(a.shape[1]):
                out[i, j] += a[i, k] * b[k, j]


def multiply(a, b, out):
    product(a, b, out)


# EVOLVE-BLOCK-END
