"""The evaluator's own side, compiled once a process: what is exact, and what is compared with."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolver.errors import UsageError

from .functions import Function

HARNESS = Path(__file__).with_name("harness.c").read_text("utf-8")
_YARDSTICK = Path(__file__).with_name("yardstick.c").read_text("utf-8")

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Error:
    """How far values are from what is exact.

    Attributes:
        ulp: of the worst, in units in the last place of what is exact; not finite where a value is
            not.
        where: the bits of its argument.
        nearest: how many values are the nearest float, or as near.
        count: of the values.
    """

    ulp: float
    where: int
    nearest: int
    count: int

    def and_(self, other: Error) -> Error:
        """Return the error of these values and others."""
        worse = self if self.ulp >= other.ulp or self.ulp != self.ulp else other
        return Error(worse.ulp, worse.where, self.nearest + other.nearest, self.count + other.count)


@dataclass(frozen=True, eq=False)
class Yardstick:
    """Measures values of one function."""

    library: ctypes.CDLL

    def exact(self, first: int, count: int) -> NDArray[np.float64]:
        """Return the function at `count` floats from that with the bits `first`."""
        values = np.empty(count)
        self.library.yardstick_exact(first, count, values.ctypes.data)
        return values

    def at(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the function at float64 arguments."""
        values = np.empty(x.size)
        self.library.yardstick_at(x.size, np.ascontiguousarray(x).ctypes.data, values.ctypes.data)
        return values

    def error(self, first: int, values: Values, exact: NDArray[np.float64] | None = None) -> Error:
        """Return the error of values at floats one after the other, from that of bits `first`.

        Args:
            first: bits.
            values: of a candidate.
            exact: what `self.exact` returns for them, where it is known.
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
        """Return the sum of the bits of values of a whole binade, drawn as harness.c draws."""
        found: int = self.library.yardstick_checksum(values.ctypes.data, start, stride, count)
        return found


@cache
def yardstick(function: Function) -> Yardstick:
    """Compile what measures a function, or return it again."""
    source = f"#define EXACT(x) ({function.exact})\n{_YARDSTICK}"
    library = _compiled(source, ("-O3", "-march=native"), ())
    library.yardstick_exact.argtypes = [ctypes.c_uint32] * 2 + [ctypes.c_void_p]
    library.yardstick_exact.restype = None
    library.yardstick_at.argtypes = [ctypes.c_uint32] + [ctypes.c_void_p] * 2
    library.yardstick_at.restype = None
    library.yardstick_worst.argtypes = [ctypes.c_uint32] + [ctypes.c_void_p] * 4
    library.yardstick_worst.restype = ctypes.c_double
    library.yardstick_checksum.argtypes = [ctypes.c_void_p] + [ctypes.c_uint32] * 3
    library.yardstick_checksum.restype = ctypes.c_uint32
    return Yardstick(library)


@cache
def in_library(function: Function, flags: Sequence[str], *more: str) -> Callable[..., int]:
    """Return the harness's checksum with the C library's own function in it.

    Args:
        function: which.
        flags: of gcc, as for candidates.
        *more: flags for it alone.
    """
    source = (
        f"#include <math.h>\n{HARNESS}\n"
        f"static inline float approximate(float x) {{ return {function.library}; }}\n"
    )
    checksum: Any = _compiled(source, flags, more).harness_checksum
    checksum.argtypes, checksum.restype = [ctypes.c_uint32] * 4, ctypes.c_uint32
    called: Callable[..., int] = checksum
    return called


def _compiled(source: str, flags: Sequence[str], more: Sequence[str]) -> ctypes.CDLL:
    """Compile and load a library.

    It is linked by another command than it is compiled by: where gcc links with -ffast-math, it
    adds code that makes the whole process take denormal numbers for zero.
    """
    with tempfile.TemporaryDirectory() as folder:
        for words in (
            (*flags, *more, "-fPIC", "-c", "-o", "own.o", "own.c"),
            ("-shared", "-o", "own.so", "own.o", "-lm"),
        ):
            (Path(folder) / "own.c").write_text(source, "utf-8")
            done = subprocess.run(["gcc", *words], cwd=folder, capture_output=True, text=True)
            if done.returncode:
                raise UsageError(f"gcc does not compile the evaluator's own code:\n{done.stderr}")
        return ctypes.CDLL(str(Path(folder) / "own.so"))
