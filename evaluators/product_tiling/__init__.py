"""Scores a rule for the tiles of a matrix product, whose code is fixed: AlphaEvolve's heuristic.

In Novikov 2025 (https://arxiv.org/abs/2506.13131), 3.3.2, what evolves is the choice of the tiles
of a kernel for matrix products, on the shapes that users have; the products stay right because the
kernel stays. Here the kernel is one of numba's, or on a GPU one of Triton's. It runs in this
process and the rule alone in the candidate's, so nothing of what is timed can be touched.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evolver import extras
from evolver.errors import CandidateOutputError
from evolver.scoring import bench, devices, verify
from evolver.scoring.bench import product
from evolver.types import Candidate, Result

Tiles = tuple[int, int, int]  # rows and columns of the result, depth of the sum
_LARGEST = 2048  # side of a tile
_POWERS = (4, 8)  # of two, that sides may be on a GPU
_PATIENCE = 1.0  # seconds for a choice


@dataclass(frozen=True)
class Evaluator:
    """Measures how fast a fixed kernel is with the tiles that a program chooses.

    The candidate's `choose(m, k, n)` returns (rows, columns, depth): for a product of m x k by
    k x n the result is computed in tiles of rows x columns, its sums in parts of depth. Numbers are
    rounded, to powers of two from 16 to 256 on a GPU. On the processor the tile of the second
    factor and that of the result have to fit `room` together, as in a scratchpad: where they do
    not, there are fewer columns.

    Attributes:
        device: "cpu", or "cuda" for a GPU that `[sandbox] gpus` names.
        dtype: of the matrices.
        shapes: (m, k, n) of each product that counts.
        held_out: shapes that are measured for private metrics.
        baseline: the tiles that the score is measured by.
        room: entries, on the processor.
        repeats: pairs of batches that are timed of each shape.
        function: the name of the candidate's function.
    """

    device: devices.Device = "cpu"
    dtype: Literal["float64", "float32", "float16", "bfloat16"] = "float32"
    shapes: tuple[product.Shape, ...] = (
        (256, 256, 256), (130, 700, 70), (7, 500, 600), (600, 48, 300),
    )  # fmt: skip
    held_out: tuple[product.Shape, ...] = ((64, 257, 499),)
    baseline: Tiles = (32, 32, 32)
    room: int = 8192
    repeats: int = 3
    function: str = "choose"

    def check_host(self, gpus: Sequence[int]) -> None:
        """Check that there is the device, and what compiles the kernel."""
        devices.require(self.device, gpus, "the same on the processor is examples/matmul-tiling")
        extras.require_modules(*(("torch", "triton") if self.device == "cuda" else ("numba",)))

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `speedup` over the baseline's tiles and `gflops`, geometric means over the shapes.

        A shape whose gain is within the noise of measuring it counts as 1.

        Raises:
            CandidateError: what it chooses are no three numbers, or tiles that the GPU cannot hold.
        """
        kernel = self._kernel()
        shapes = (*self.shapes, *self.held_out)
        tiles = {shape: self._choose(candidate, shape) for shape in shapes}
        every = dict.fromkeys(shapes, self.baseline)
        theirs, reference = (
            bench.in_worker(_multiplying(kernel, one), self.device, candidate.rng)
            for one in (tiles, every)
        )
        found = {}
        for shape in shapes:
            draw = partial(product.draw, candidate.rng, shape, self.dtype)
            check = partial(product.check, rng=candidate.rng)
            try:
                bench.verify(theirs, draw, check, inputs=1)
            except kernel.TOO_LARGE as error:
                raise CandidateOutputError(
                    f"tiles {tiles[shape]} for {product.named(shape)}: {error}"
                ) from None
            found[shape] = bench.compare(theirs, reference, draw, check, self.repeats)
        private = {}
        if self.held_out:
            private["held_out_speedup"] = product.figures(found, self.held_out)["speedup"]
        return Result(
            product.figures(found, self.shapes),
            private,
            feedback="\n".join(
                [
                    f"{product.named(shape)}, tiles {tiles[shape]}: "
                    f"{product.gflops(shape, found[shape].seconds):.4g} GFLOP/s, "
                    f"{found[shape].ratio:.3g} of the speed with tiles {self.baseline} "
                    f"(noise {found[shape].noise:.1%})"
                    for shape in self.shapes
                ]
                + devices.describe(reference.about)
            ),
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return what the score is measured by."""
        return {f"tiles {self.baseline} for every shape": [{"speedup": 1.0}]}

    def _choose(self, candidate: Candidate, shape: product.Shape) -> Tiles:
        """Ask for tiles; return the nearest that there can be."""
        chosen = candidate.call(self.function, *shape, timeout=_PATIENCE)
        what = f"the tiles for {product.named(shape)}"
        sides: NDArray[np.floating[Any]] = verify.reals(chosen, [3], what)
        if self.device == "cuda":
            low, high = _POWERS
            sides = 2.0 ** np.round(np.log2(np.clip(sides, 2.0**low, 2.0**high)))
        rows, columns, depth = (round(side) for side in np.clip(sides, 1, _LARGEST).tolist())
        if self.device == "cpu":
            columns = max(1, min(columns, self.room // (rows + depth)))
        return rows, columns, depth

    def _kernel(self) -> Any:
        """Import the module with the kernel for the device, which needs what not every host has."""
        name = "graphics" if self.device == "cuda" else "processor"
        return importlib.import_module(f"{__name__}.{name}")


def _multiplying(kernel: Any, tiles: Mapping[product.Shape, Tiles]) -> Callable[..., None]:
    def multiply(a: Any, b: Any, out: Any) -> None:
        kernel.multiply(tiles[(*a.shape, b.shape[1])], a, b, out)

    return multiply
