"""Guest code: calls the compiled candidate in its own process, so the evaluator trusts none of it.

Standard library only.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

_terms: list[int] = []


@functools.cache
def library() -> ctypes.CDLL:
    """Load the compiled library."""
    loaded = ctypes.CDLL("./approximate.so")
    loaded.harness_values.argtypes = [ctypes.c_uint32] * 2 + [ctypes.c_void_p]
    loaded.harness_values.restype = None
    loaded.harness_checksum.argtypes = [ctypes.c_uint32] * 4
    loaded.harness_checksum.restype = ctypes.c_uint32
    loaded.harness_fold.argtypes = [ctypes.c_uint32] * 3 + [ctypes.c_void_p] * 3
    loaded.harness_fold.restype = None
    return loaded


def values(first: int, count: int) -> bytes:
    """Return the values at `count` floats from that with the bits `first`, as bytes."""
    found = (ctypes.c_float * count)()
    library().harness_values(first, count, found)
    return bytes(found)


def checksum(binade: int, start: int, stride: int, count: int) -> int:
    """Return the sum of the bits of values: see harness.c."""
    found: int = library().harness_checksum(binade, start, stride, count)
    return found


def prepare(binade: int, rounds: int, _device: str) -> None:
    """Set the terms of `fold`."""
    _terms[:] = [binade, rounds]


def fold(x: Any, secret: Any, out: Any) -> None:
    """Set each output to a sum of the bits of many values: see harness.c."""
    library().harness_fold(*_terms, len(x), x.ctypes.data, secret.ctypes.data, out.ctypes.data)
