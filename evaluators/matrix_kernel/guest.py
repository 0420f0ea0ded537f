"""Calls the candidate's compiled kernel, in its process."""

import ctypes
import functools

import numpy as np


@functools.cache
def kernel():
    """Load what gcc made of it."""
    function = ctypes.CDLL("./kernel.so").multiply
    function.argtypes = [ctypes.c_int] * 3 + [ctypes.c_void_p] * 3
    function.restype = None
    return function


def multiply(a, b):
    """Return the product that the kernel computes."""
    c = np.full((a.shape[0], b.shape[1]), np.nan, a.dtype)  # what it leaves out is seen
    kernel()(*a.shape, b.shape[1], a.ctypes.data, b.ctypes.data, c.ctypes.data)
    return c
