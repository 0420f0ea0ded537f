"""Calls the candidate's compiled kernel, in its process."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@functools.cache
def kernel() -> Callable[..., None]:
    """Load the compiled library."""
    function = ctypes.CDLL("./kernel.so").multiply
    function.argtypes = [ctypes.c_int] * 3 + [ctypes.c_void_p] * 3
    function.restype = None
    return function


def multiply(a: Array, b: Array) -> Array:
    """Return the kernel's product."""
    c = np.full(
        (a.shape[0], b.shape[1]), np.nan, a.dtype
    )  # shows entries that the kernel does not set
    kernel()(*a.shape, b.shape[1], a.ctypes.data, b.ctypes.data, c.ctypes.data)
    return c
