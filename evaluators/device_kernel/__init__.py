"""Scores code that multiplies matrices on a device by its speed, against the library's product.

On a GPU the code is a Triton kernel and the library torch; on the processor, for machines without
one, numba's and numpy's. Everything else is the same: `evolver.bench` says what is believed.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import numpy as np

from evolver import bench, devices, library
from evolver.errors import CandidateOutputError, UsageError
from evolver.types import Candidate, Result

Shape = tuple[int, int, int]
Type = Literal["float64", "float32", "float16", "bfloat16"]
# Of the unit roundoff of the sum, times the norms of row and column: a plain or a blocked sum stays
# below 5 for random matrices. A sum of half the digits is 10**3 away.
_ROUNDOFFS = 64
_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
_ENTRIES = 16  # that are verified of each piece
#: All that may be imported on a device, and what may not be named, so that no library is called.
_MODULES = {
    "cpu": {"numpy", "numba", "math"},
    "cuda": {"torch", "triton", "triton.language", "language", "math"},
}
_LIBRARY = {
    "vdot", "inner", "outer", "matmul", "matvec", "vecmat", "vecdot", "tensordot", "einsum",
    "multi_dot", "linalg", "kron", "matrix", "convolve", "correlate", "apply_along_axis", "core",
    "ctypeslib", "objmode", "fft", "getattr", "eval", "exec", "compile", "globals", "vars",
    "locals", "builtins", "importlib",
}  # fmt: skip
_TORCH = {
    "mm", "bmm", "mv", "addmm", "addmv", "addbmm", "baddbmm", "addr", "ger", "linear", "bilinear",
    "nn", "ops", "chain_matmul", "hspmm", "sspaddmm", "conv1d", "conv2d", "conv3d", "cdist",
    "utils", "library", "load", "sparse", "scaled_dot_product_attention", "func", "vmap", "hub",
}  # fmt: skip
_TORCH -= {"load"}  # tl.load


@dataclass(frozen=True)
class Evaluator:
    """Measures how fast a program multiplies matrices of some shapes on a device.

    The candidate's `multiply(a, b, out)` sets every entry of out, m x n, to the product of a,
    m x k, and b, k x n: arrays of numpy, or tensors of torch on the GPU, rows one after the other.

    Attributes:
        device: "cpu", or "cuda" for a GPU that `[sandbox] gpus` names.
        dtype: of all three matrices; sums are of float32 at least.
        shapes: (m, k, n) of each product that counts.
        held_out: shapes that are measured for private metrics.
        repeats: pairs of batches that are timed of each shape.
        inputs: fresh ones on which each shape is verified before.
        peak: TFLOP/s of the device at this type, to say what share is reached; 0: not said.
        function: the name of the candidate's function.
    """

    device: devices.Device = "cpu"
    dtype: Type = "float32"
    shapes: tuple[Shape, ...] = ((192, 192, 192), (255, 129, 203))
    held_out: tuple[Shape, ...] = ((161, 211, 149),)
    repeats: int = 3
    inputs: int = 5
    peak: float = 0.0
    function: str = "multiply"

    guest = bench.GUEST

    def check_host(self, gpus: Sequence[int]) -> None:
        """Check that there is the device, and a type that it has."""
        devices.require(self.device, gpus)
        if self.device == "cpu" and self.dtype in ("float16", "bfloat16"):
            raise UsageError(f'there is no {self.dtype} on the processor; set dtype = "float32"')

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `speedup` over the library and `tflops`, geometric means over the shapes.

        A shape whose gain is within the noise of measuring it counts as 1.

        Raises:
            CandidateError: a product is wrong, or the program calls the library.
        """
        for path, content in candidate.files.items():
            if path.endswith(".py"):
                self._forbid_library(content)
        rng = candidate.rng
        theirs = bench.there(candidate, self.function, self.device)
        reference = bench.here(_library_product(self.device), self.device, rng)
        draws = {
            shape: functools.partial(_draw, rng, shape, self.dtype)
            for shape in (*self.shapes, *self.held_out)
        }
        for draw in draws.values():
            bench.verify(theirs, draw, self._check, self.inputs)
        found = {
            shape: bench.compare(theirs, reference, draw, self._check, self.repeats)
            for shape, draw in draws.items()
        }
        counted = [found[shape] for shape in self.shapes]
        private = {}
        if self.held_out:
            private["held_out_speedup"] = _mean(found[one].speedup for one in self.held_out)
        rates = {shape: _tflops(shape, one.seconds) for shape, one in found.items()}
        return Result(
            {
                "speedup": _mean(one.speedup for one in counted),
                "tflops": _mean(rates[shape] for shape in self.shapes),
            },
            private,
            feedback="\n".join(
                [self._line(shape, rates[shape], found[shape]) for shape in self.shapes]
                + devices.describe(reference.about)
            ),
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return what the score is measured by."""
        name = "torch.matmul" if self.device == "cuda" else "numpy's BLAS, one core"
        return {name: [{"speedup": 1.0}]}

    def _forbid_library(self, source: bytes) -> None:
        names = _LIBRARY | (_TORCH if self.device == "cuda" else {"dot"})
        library.forbid(source, modules=_MODULES[self.device], names=names, operators=(ast.MatMult,))

    def _check(self, piece: bench.Piece) -> None:
        """Verify some entries of a part of a product."""
        k, n = piece.call.inputs[1].shape
        count = len(piece.values)
        ends = [place for place in range(count) if (piece.first + place + 1) % n == 0][-2:]
        places = np.array([0, count - 1, *ends, *_spread(count)])
        rows, columns = np.divmod(piece.first + places, n)
        a = piece.input(0, rows[:, None] * k + np.arange(k))
        b = piece.input(1, columns[:, None] + np.arange(k) * n)
        found, wanted = piece.values[places], (a * b).sum(1)
        roundoff = _ROUNDOFF[self.dtype]
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        most = _ROUNDOFFS * min(roundoff, _ROUNDOFF["float32"]) * norms
        if roundoff > _ROUNDOFF["float32"]:
            most += 2 * roundoff * np.abs(wanted)
        excess = np.abs(found - wanted) / most
        worst = int(np.argmax(excess))
        if excess[worst] > 1:
            raise CandidateOutputError(
                f"the product of {self._named(piece.call)} in {self.dtype} is off: entry "
                f"({rows[worst]}, {columns[worst]}) is {found[worst]:.9g} and should be "
                f"{wanted[worst]:.9g}, within {most[worst]:.3g}"
            )

    def _named(self, call: bench.Call) -> str:
        (m, k), (_, n) = (one.shape for one in call.inputs)
        return f"{m} x {k} by {k} x {n}"

    def _line(self, shape: Shape, rate: float, found: bench.Comparison) -> str:
        m, k, n = shape
        share = f", {rate / self.peak:.0%} of the peak" if self.peak else ""
        return (
            f"{m} x {k} by {k} x {n}: {rate:.3g} TFLOP/s{share}, {found.ratio:.3g} of the "
            f"library's speed (noise {found.noise:.1%}, {1e6 * found.seconds:.4g} us)"
        )


def _draw(rng: Random, shape: Shape, dtype: str) -> bench.Call:
    """Draw sizes for secret matrices: of both signs, and in one case of five of one sign."""
    m, k, n = shape
    one, other = (10.0 ** rng.uniform(-1, 1) for _ in range(2))
    low = 0.0 if rng.random() < 0.2 else -1.0
    factors = bench.Drawn((m, k), dtype, low * one, one), bench.Drawn((k, n), dtype, -other, other)
    return bench.Call(factors, (m, n), dtype)


def _library_product(device: str) -> Callable[..., Any]:
    if device == "cpu":
        return _numpy_product
    import torch

    # The whole of float32: what is measured against is to be as exact as what is measured.
    torch.backends.cuda.matmul.allow_tf32 = False
    return lambda a, b, out: torch.matmul(a, b, out=out)


def _numpy_product(a: Any, b: Any, out: Any) -> None:
    np.matmul(a, b, out=out)


def _spread(count: int) -> Any:
    return np.random.default_rng().integers(count, size=_ENTRIES)


def _tflops(shape: Shape, seconds: float) -> float:
    return 2e-12 * math.prod(shape) / seconds


def _mean(values: Iterable[float]) -> float:
    """Return the geometric mean."""
    return float(np.exp(np.mean(np.log(list(values)))))
