"""The evaluator's own compiled code: exact values, errors, and reference functions."""

from __future__ import annotations

import _ctypes
import ctypes
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evolver.sandboxes.timing import now
from evolver.scoring import compiling

from .functions import Function

HARNESS = Path(__file__).with_name("harness.c").read_text("utf-8")
_EXACT = Path(__file__).with_name("exact.c").read_text("utf-8")
_YARDSTICK = Path(__file__).with_name("yardstick.c").read_text("utf-8")
_FLAGS = ("-O3", "-march=native")
_KEPT = 100  # calls of a reference that are remembered

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Error:
    """The error of values.

    Attributes:
        ulp: largest error, in units in the last place of the exact value; not finite if a value is
            not.
        where: bits of the argument with that error.
        nearest: number of values that are the nearest float, or equally near.
        count: number of values.
    """

    ulp: float
    where: int
    nearest: int
    count: int

    def and_(self, other: Error) -> Error:
        """Return the error of these values and others together."""
        worse = self if self.ulp >= other.ulp or self.ulp != self.ulp else other
        return Error(worse.ulp, worse.where, self.nearest + other.nearest, self.count + other.count)


@dataclass(frozen=True, eq=False)
class Yardstick:
    """Measures values of one function."""

    of: ctypes.CDLL  # exact.c
    library: ctypes.CDLL  # yardstick.c

    def exact(self, first: int, count: int) -> NDArray[np.float64]:
        """Return the function at `count` successive floats from the bits `first` on."""
        values = np.empty(count)
        self.of.exact_of_floats(first, count, values.ctypes.data)
        return values

    def at(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the function at float64 arguments."""
        values = np.empty(x.size)
        self.of.exact_at(x.size, np.ascontiguousarray(x).ctypes.data, values.ctypes.data)
        return values

    def error(self, first: int, values: Values, exact: NDArray[np.float64] | None = None) -> Error:
        """Return the error of values at successive floats from the bits `first` on.

        Args:
            first: bits of the first argument.
            values: of a candidate.
            exact: the exact values, if they are known.
        """
        exact = self.exact(first, len(values)) if exact is None else exact
        where, nearest = ctypes.c_uint32(0), ctypes.c_uint64(0)
        ulp = self.library.yardstick_worst(
            len(values),
            values.ctypes.data,
            exact.ctypes.data,
            ctypes.byref(where),
            ctypes.byref(nearest),
        )
        return Error(ulp, first + where.value, nearest.value, len(values))

    def checksum(self, values: Values, start: int, stride: int, count: int) -> int:
        """Return the sum of the bits of values of a whole binade, drawn as in harness.c."""
        found: int = self.library.yardstick_checksum(values.ctypes.data, start, stride, count)
        return found


@cache
def yardstick(function: Function) -> Yardstick:
    """Compile the yardstick of a function, once."""
    of, _ = _compiled(f"#define EXACT(x) ({function.exact})\n{_EXACT}", (*_FLAGS, "-ffast-math"))
    of.exact_of_floats.argtypes = [ctypes.c_uint32] * 2 + [ctypes.c_void_p]
    of.exact_of_floats.restype = None
    of.exact_at.argtypes = [ctypes.c_uint32] + [ctypes.c_void_p] * 2
    of.exact_at.restype = None
    library, _ = _compiled(_YARDSTICK, _FLAGS)
    library.yardstick_worst.argtypes = [ctypes.c_uint32] + [ctypes.c_void_p] * 4
    library.yardstick_worst.restype = ctypes.c_double
    library.yardstick_checksum.argtypes = [ctypes.c_void_p] + [ctypes.c_uint32] * 3
    library.yardstick_checksum.restype = ctypes.c_uint32
    return Yardstick(of, library)


class Reference:
    """The C library's own function in the harness, with the durations of its last calls.

    Other work on the machine only makes a call longer, so the least duration counts. It is the
    least of many evaluations: otherwise a candidate would gain whenever the reference is slow, and
    a search would select such candidates.

    Args:
        checksum: the harness's.
        share: one in so many of the requested values is computed.
    """

    def __init__(self, checksum: Callable[[int, int, int, int], int], share: int) -> None:
        self._checksum = checksum
        self._share = share
        self._took = deque[float](maxlen=_KEPT)  # seconds a value

    def __call__(self, binade: int, start: int, stride: int, count: int) -> None:
        """Compute values as a candidate does, and note the duration."""
        count //= self._share
        began = now()
        self._checksum(binade, start, stride, count)
        self._took.append((now() - began) / count)

    @property
    def least(self) -> float:
        """The least seconds for a value in the last calls."""
        return min(self._took)


@cache
def in_library(function: Function, flags: Sequence[str], *more: str, share: int = 1) -> Reference:
    """Return the C library's own function, for comparison.

    Args:
        function: to compute.
        flags: of gcc, as for candidates.
        *more: flags for it alone.
        share: as in `Reference`.
    """
    return Reference(library_in_harness(function, flags, *more).harness_checksum, share)


@cache
def library_in_harness(function: Function, flags: Sequence[str], *more: str) -> ctypes.CDLL:
    """Compile the harness with the C library's own function in it, once."""
    library, _ = _compiled(
        f"#include <math.h>\n{HARNESS}\n"
        f"static inline float approximate(float x) {{ return {function.library}; }}\n",
        (*flags, *more),
    )
    return _typed(library)


def _typed(library: ctypes.CDLL) -> ctypes.CDLL:
    """Declare the types of the functions of harness.c."""
    library.harness_values.argtypes = [ctypes.c_uint32] * 2 + [ctypes.c_void_p]
    library.harness_values.restype = None
    library.harness_checksum.argtypes = [ctypes.c_uint32] * 4
    library.harness_checksum.restype = ctypes.c_uint32
    library.harness_fold.argtypes = [ctypes.c_uint32] * 3 + [ctypes.c_void_p] * 3
    library.harness_fold.restype = None
    return library


@contextmanager
def in_harness(
    approximation: str, flags: Sequence[str]
) -> Iterator[tuple[Callable[[int, int], Values], bytes]]:
    """Compile an approximation whose source this evaluator wrote.

    Args:
        approximation: arithmetic on x and constants only: it runs in this process.
        flags: of gcc.

    Yields:
        A function (first, count) that returns the values at `count` successive floats from the bits
        `first` on, valid within the context; and the content of the library.
    """
    library, content = _compiled(f"{HARNESS}\n{approximation}", flags)
    _typed(library)

    def values(first: int, count: int) -> Values:
        found = np.empty(count, np.float32)
        library.harness_values(first, count, found.ctypes.data)
        return found

    try:
        yield values, content
    finally:
        _ctypes.dlclose(library._handle)  # else the process would keep one for each candidate


def _compiled(source: str, flags: Sequence[str]) -> tuple[ctypes.CDLL, bytes]:
    """Compile and load a library; return it and its content."""
    with tempfile.TemporaryDirectory() as folder:
        path = compiling.compile_own(source, flags, Path(folder))
        return ctypes.CDLL(str(path)), path.read_bytes()
