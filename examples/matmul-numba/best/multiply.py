import numpy as np
from numba import njit


# EVOLVE-BLOCK-START
@njit
def product(a, b, c):
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            for j in range(b.shape[1]):
                c[i, j] += a[i, k] * b[k, j]


def multiply(a, b):
    c = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    product(a, b, c)
    return c


# EVOLVE-BLOCK-END
