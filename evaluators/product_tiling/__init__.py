"""Scores a rule for the tiles of a fixed kernel for matrix products: AlphaEvolve's heuristic.

In Novikov 2025 (https://arxiv.org/abs/2506.13131), 3.3.2, evolution chooses the tiles of a kernel
for matrix products, for the shapes of users; the products stay right because the kernel does not
change. Here the kernel is written for numba, or for Triton on a GPU. It runs in the evaluator's
process, and only the rule in the candidate's, so a candidate cannot influence the timing.
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
_POWERS = (4, 8)  # least and largest exponent of a side on a GPU, a power of 2
_PATIENCE = 1.0  # seconds for one choice


@dataclass(frozen=True)
class Evaluator:
    """Measures how fast a fixed kernel is with the tiles that a program chooses.

    The candidate's `choose(m, k, n)` returns (rows, columns, depth): the kernel computes a product
    of m x k by k x n in tiles of rows x columns, with its sums in parts of depth. Numbers are
    rounded, on a GPU to powers of two from 16 to 256. On the processor the tiles of the second
    factor and of the result must fit into `room` together, as in a scratchpad; if they do not, the
    number of columns is reduced.

    Attributes:
        device: "cpu", or "cuda" for a GPU that `[sandbox] gpus` names.
        dtype: of the matrices.
        shapes: (m, k, n) of each scored product.
        held_out: shapes for private metrics.
        baseline: tiles that the score is relative to.
        room: entries of both tiles, on the processor.
        repeats: timed pairs of batches of each shape.
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
        """Check that the device and the compiler of the kernel are available."""
        devices.require(self.device, gpus, "the variant on the processor is examples/matmul-tiling")
        extras.require_modules(*(("torch", "triton") if self.device == "cuda" else ("numba",)))

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `speedup` over the baseline's tiles and `gflops`, geometric means over the shapes.

        The speedup of a shape counts as 1 if it is within the noise of the measurement.

        Raises:
            CandidateError: the choice is not three numbers, or the GPU cannot hold the tiles.
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
        """Return the score of the baseline, 1 by definition."""
        return {f"tiles {self.baseline} for every shape": [{"speedup": 1.0}]}

    def _choose(self, candidate: Candidate, shape: product.Shape) -> Tiles:
        """Return the possible tiles that are nearest to the candidate's choice."""
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
        """Import the kernel for the device; its module needs an optional package."""
        name = "graphics" if self.device == "cuda" else "processor"
        return importlib.import_module(f"{__name__}.{name}")


def _multiplying(kernel: Any, tiles: Mapping[product.Shape, Tiles]) -> Callable[..., None]:
    def multiply(a: Any, b: Any, out: Any) -> None:
        kernel.multiply(tiles[(*a.shape, b.shape[1])], a, b, out)

    return multiply
