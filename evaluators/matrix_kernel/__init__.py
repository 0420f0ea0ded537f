"""Scores code that multiplies matrices by its speed on one core, against numpy's BLAS.

The evaluator checks products of secret matrices before timing, and one product of each timed batch.
It times by `Candidate.time`, which counts work in all processes of the candidate.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evolver.errors import CandidateOutputError
from evolver.scoring import compiling, devices, sources, verify
from evolver.types import Candidate, Result, Timing

Shape = tuple[int, int, int]
# Allowed error in unit roundoffs, relative to the norms of both factors. A plain or a blocked sum
# stays below 5 for random matrices; half precision is 10**4 away.
_ROUNDOFFS = 64
#: Functions that a program in C may call.
_CALLS = compiling.MEMORY | {b"fma", b"fmaf"}
#: Python without numpy's own product.
LANGUAGE = sources.Language(
    reason="the program must compute the product itself",
    modules=("numpy", "numba", "math"),
    attributes=sources.ARRAYS,
    syntax={ast.MatMult: "@"},
)


@dataclass(frozen=True)
class Evaluator:
    """Measures how fast a program multiplies matrices of given shapes.

    In Python the candidate's `multiply(a, b)` gets two arrays and returns their product, an array
    of the same type. In C its `void multiply(int m, int k, int n, const T *a, const T *b, T *c)`
    gets matrices in row order, and sets all of c; gcc compiles it.

    Attributes:
        language: "python" or "c".
        dtype: "float64" or "float32".
        shapes: (m, k, n) of each scored product, m x k by k x n.
        held_out: shapes for private metrics.
        repeats: timed batches of each shape.
        function: the name of the candidate's function in Python.
        flags: of gcc.
    """

    language: Literal["python", "c"] = "python"
    dtype: Literal["float64", "float32"] = "float64"
    shapes: tuple[Shape, ...] = ((128, 128, 128), (191, 127, 161), (96, 257, 224))
    held_out: tuple[Shape, ...] = ((173, 211, 149),)
    repeats: int = 5
    function: str = "multiply"
    flags: tuple[str, ...] = ("-O3", "-march=native", "-ffp-contract=fast")

    guest = "guest.py"

    def check_host(self, gpus: Sequence[int]) -> None:
        """Raise UsageError if there is no compiler for C."""
        if self.language == "c":
            devices.require_compiler()

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `against_blas`, the speed relative to numpy's BLAS on one core, and `gflops`.

        Both are geometric means over the shapes. The first is the ratio of the quickest batches,
        timed in turn, and so depends less on the machine and its other work.

        Raises:
            CandidateError: a product is wrong, or the program is not allowed or does not compile.
        """
        function = self._prepare(candidate)
        rng = np.random.default_rng(candidate.rng.getrandbits(63))
        timings = [self._time(candidate, function, rng, shape) for shape in self.shapes]
        held_out = [self._time(candidate, function, rng, shape) for shape in self.held_out]
        rates = [_gflops(*pair) for pair in zip(self.shapes, timings, strict=True)]
        private = {}
        if held_out:
            private["held_out_against_blas"] = geometric_mean(map(_speedup, held_out))
            private["held_out_gflops"] = geometric_mean(map(_gflops, self.held_out, held_out))
        return Result(
            {
                "against_blas": geometric_mean(map(_speedup, timings)),
                "gflops": geometric_mean(rates),
            },
            private,
            feedback="\n".join(
                f"{m} x {k} by {k} x {n}: {rate:.3g} GFLOP/s, {timing.speedup:.3g} of BLAS"
                for (m, k, n), rate, timing in zip(self.shapes, rates, timings, strict=True)
            ),
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the score of numpy's BLAS, 1 by definition."""
        return {"numpy's BLAS, one core": [{"against_blas": 1.0}]}

    def _prepare(self, candidate: Candidate) -> str:
        """Check the program, and compile it if it is in C; return the function to call."""
        if self.language == "python":
            LANGUAGE.check(candidate.files)
            return self.function
        compiling.compile_program(candidate, "kernel", self.flags, calls=_CALLS)
        return "guest:multiply"

    def _draw(
        self, rng: np.random.Generator, shape: Shape
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Yield pairs of matrices with secret entries and magnitudes, endlessly."""
        m, k, n = shape
        while True:
            one, other = 10.0 ** rng.uniform(-2, 2, 2)
            yield (
                (one * rng.standard_normal((m, k))).astype(self.dtype),
                (other * rng.standard_normal((k, n))).astype(self.dtype),
            )

    def _time(
        self, candidate: Candidate, function: str, rng: np.random.Generator, shape: Shape
    ) -> Timing:
        inputs = self._draw(rng, shape)
        return candidate.time(
            function, inputs, repeats=self.repeats, reference=np.matmul, check=self._check
        )

    def _check(self, pair: Sequence[NDArray[Any]], product: object) -> None:
        a, b = (one.astype(np.float64) for one in pair)
        found = verify.reals(product, [len(a), b.shape[1]], "the product")
        if not isinstance(product, np.ndarray) or product.dtype != self.dtype:
            raise CandidateOutputError(f"the product must be an array of {self.dtype}")
        error = np.linalg.norm(found - a @ b) / np.linalg.norm(a) / np.linalg.norm(b)
        most = _ROUNDOFFS * np.finfo(self.dtype).eps / 2
        if error > most:
            raise CandidateOutputError(
                f"the product is off by {error:.3g} of the factors' norms; at most {most:.3g} is "
                f"allowed for {self.dtype}"
            )


def _speedup(timing: Timing) -> float:
    assert timing.speedup is not None  # each was timed with a reference
    return timing.speedup


def _gflops(shape: Shape, timing: Timing) -> float:
    return 2e-9 * math.prod(shape) / timing.least
