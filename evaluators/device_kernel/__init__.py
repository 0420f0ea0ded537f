"""Scores code that multiplies matrices on a device by its speed, against the library's product.

On a GPU the code is a Triton kernel, and the library is torch. On the processor the code uses
numba, and the library is numpy. `evolver.scoring.bench` describes the checks, the same for both.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from evolver import extras
from evolver.errors import UsageError
from evolver.scoring import bench, devices, sources
from evolver.scoring.bench import product
from evolver.types import Candidate, Result

_TRITON = {
    "language",
    "jit", "autotune", "heuristics", "Config", "cdiv", "next_power_of_2", "set_allocator", "tools",
    "tensor_descriptor", "TensorDescriptor", "from_tensor", "constexpr", "program_id",
    "num_programs", "arange", "zeros", "zeros_like", "full", "load", "store", "dot", "dot_scaled",
    "trans", "permute", "reshape", "view", "broadcast", "broadcast_to", "expand_dims", "cat",
    "join", "split", "interleave", "where", "minimum", "maximum", "min", "max", "sum", "reduce",
    "abs", "cast", "to", "element_ty", "fma", "umulhi", "multiple_of", "max_contiguous",
    "max_constancy", "assume", "make_block_ptr", "advance", "make_tensor_descriptor", "range",
    "static_range", "static_assert", "debug_barrier", "swizzle2d", "atomic_add", "atomic_cas",
    "atomic_xchg", "inline_asm_elementwise", "pointer_type", "tensor", "int1", "int8", "int16",
    "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "bfloat16", "float32",
    "float64",
}  # fmt: skip
_TORCH = {
    "shape", "size", "stride", "strides", "dtype", "device", "ndim", "dim", "numel", "T", "t",
    "mT", "data_ptr", "element_size", "is_contiguous", "contiguous", "transpose", "empty",
    "empty_like", "empty_strided", "copy_", "zero_", "fill_", "add_", "float", "half", "cuda",
    "current_device", "get_device_properties", "get_device_capability", "multi_processor_count",
    "Tensor",
}  # fmt: skip
_PYTHON = {
    "ceil", "floor", "sqrt", "log2", "inf", "append", "extend", "get", "items", "keys", "values",
    "setdefault",
}  # fmt: skip
_kernel = partial(
    sources.Language,
    reason="the program must compute the product itself",
    syntax={ast.MatMult: "@"},
)
#: Python without the library's own product, for each device.
LANGUAGES = {
    "cpu": _kernel(modules=("numpy", "numba", "math"), attributes=sources.ARRAYS),
    "cuda": _kernel(modules=("torch", "triton", "math"), attributes=_TRITON | _TORCH | _PYTHON),
}


@dataclass(frozen=True)
class Evaluator:
    """Measures how fast a program multiplies matrices of given shapes on a device.

    The candidate's `multiply(a, b, out)` sets every entry of out, m x n, to the product of a,
    m x k, and b, k x n: numpy's arrays, or torch's tensors on the GPU, in row order.

    Attributes:
        device: "cpu", or "cuda" for a GPU that `[sandbox] gpus` names.
        dtype: of all three matrices; sums must be at least float32.
        shapes: (m, k, n) of each scored product.
        held_out: shapes for private metrics.
        repeats: timed pairs of batches of each shape.
        inputs: number of fresh inputs for the verification of each shape.
        peak: GFLOP/s of the device at this type, to report the share that is reached; 0 for none.
        function: the name of the candidate's function.
    """

    device: devices.Device = "cpu"
    dtype: Literal["float64", "float32", "float16", "bfloat16"] = "float32"
    shapes: tuple[product.Shape, ...] = ((192, 192, 192), (255, 129, 203))
    held_out: tuple[product.Shape, ...] = ((161, 211, 149),)
    repeats: int = 3
    inputs: int = 5
    peak: float = 0.0
    function: str = "multiply"

    guest = bench.GUEST

    def check_host(self, gpus: Sequence[int]) -> None:
        """Check that the device is available, and supports the type."""
        instead = "the variant on the processor is examples/matmul-triton/processor"
        devices.require(self.device, gpus, instead)
        if self.device == "cpu" and self.dtype in ("float16", "bfloat16"):
            raise UsageError(f'there is no {self.dtype} on the processor; set dtype = "float32"')
        if self.device == "cuda":
            extras.require_modules("torch", "triton")

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `speedup` over the library and `gflops`, geometric means over the shapes.

        The speedup of a shape counts as 1 if it is within the noise of the measurement.

        Raises:
            CandidateError: a product is wrong, or the program uses names that are not allowed.
        """
        LANGUAGES[self.device].check(candidate.files)
        rng = candidate.rng
        theirs = bench.in_candidate(candidate, self.function, self.device)
        reference = bench.in_worker(_library_product(self.device), self.device, rng)
        check = partial(product.check, rng=rng)
        draws = {
            shape: partial(product.draw, rng, shape, self.dtype)
            for shape in (*self.shapes, *self.held_out)
        }
        alone = {shape: bench.time_alone(reference, draw) for shape, draw in draws.items()}
        for draw in draws.values():
            bench.verify(theirs, draw, check, self.inputs)
        found = {
            shape: bench.compare(theirs, reference, draw, check, self.repeats, alone=alone[shape])
            for shape, draw in draws.items()
        }
        private = {}
        if self.held_out:
            private["held_out_speedup"] = product.figures(found, self.held_out)["speedup"]
        return Result(
            product.figures(found, self.shapes),
            private,
            feedback="\n".join(
                [self._line(shape, found[shape]) for shape in self.shapes]
                + devices.describe(reference.about)
            ),
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the score of the library, 1 by definition."""
        name = "torch.matmul" if self.device == "cuda" else "numpy's BLAS, one core"
        return {name: [{"speedup": 1.0}]}

    def _line(self, shape: product.Shape, found: bench.Comparison) -> str:
        rate = product.gflops(shape, found.seconds)
        share = f", {rate / self.peak:.0%} of the peak" if self.peak else ""
        return (
            f"{product.named(shape)}: {rate:.4g} GFLOP/s{share}, {found.ratio:.3g} of the "
            f"library's speed (noise {found.noise:.1%}, {1e6 * found.seconds:.4g} us)"
        )


def _library_product(device: str) -> Callable[..., Any]:
    if device == "cpu":
        return _numpy_product
    import torch

    # Full float32, so that the reference is as exact as the candidate has to be.
    torch.backends.cuda.matmul.allow_tf32 = False
    return lambda a, b, out: torch.matmul(a, b, out=out)


def _numpy_product(a: Any, b: Any, out: Any) -> None:
    np.matmul(a, b, out=out)
