"""Products of matrices on a bench: draws inputs, checks results, computes figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from statistics import geometric_mean

import numpy as np

from evolver.errors import CandidateOutputError
from evolver.scoring.bench.comparing import Comparison
from evolver.scoring.bench.cycles import Call, Drawn, Piece

Shape = tuple[int, int, int]  # (m, k, n): m x k by k x n

# The bound, in units of roundoff times the norms of row and column. For random matrices a plain or
# blocked sum stays below 5, and a sum with half the digits exceeds 10**3.
_ROUNDOFFS = 64
_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
_ENTRIES = 16  # of each piece that are verified


def draw(rng: Random, shape: Shape, dtype: str) -> Call:
    """Draw the scales of two secret matrices; in one case of five the first is not negative."""
    m, k, n = shape
    one, other = (10.0 ** rng.uniform(-1, 1) for _ in range(2))
    low = 0.0 if rng.random() < 0.2 else -one
    factors = Drawn((m, k), dtype, low, one), Drawn((k, n), dtype, -other, other)
    return Call(factors, (m, n), dtype)


def check(piece: Piece, rng: Random) -> None:
    """Verify some entries of a part of a product, among them one at the end of a row.

    The bound allows sums in float32, or in the type's own precision if that is higher, and one
    rounding of the result.

    Raises:
        CandidateOutputError: an entry is wrong.
    """
    (m, k), (_, n) = (one.shape for one in piece.call.inputs)
    count = len(piece.values)
    end = n - 1 - piece.first % n
    chosen = {0, count - 1, *(rng.randrange(count) for _ in range(_ENTRIES))}
    places = np.array(sorted(chosen | ({end} if end < count else set())))
    rows, columns = np.divmod(piece.first + places, n)
    a = piece.input(0, rows[:, None] * k + np.arange(k))
    b = piece.input(1, columns[:, None] + np.arange(k) * n)
    found, wanted = piece.values[places], (a * b).sum(1)
    roundoff, single = _ROUNDOFF[piece.call.dtype], _ROUNDOFF["float32"]
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    most = _ROUNDOFFS * min(roundoff, single) * norms
    if roundoff > single:
        most += 2 * roundoff * np.abs(wanted)
    worst = int(np.argmax(np.abs(found - wanted) / most))
    if abs(found[worst] - wanted[worst]) > most[worst]:
        raise CandidateOutputError(
            f"the product of {named((m, k, n))} in {piece.call.dtype} is wrong: entry "
            f"({rows[worst]}, {columns[worst]}) is {found[worst]:.9g} and should be "
            f"{wanted[worst]:.9g}, within {most[worst]:.3g}"
        )


def figures(found: Mapping[Shape, Comparison], shapes: Sequence[Shape]) -> Mapping[str, float]:
    """Return `speedup` over the reference and `gflops` of some shapes, their geometric means."""
    return {
        "speedup": geometric_mean(found[shape].speedup for shape in shapes),
        "gflops": geometric_mean(gflops(shape, found[shape].seconds) for shape in shapes),
    }


def gflops(shape: Shape, seconds: float) -> float:
    """Return a rate in GFLOP/s; a multiplication and an addition count as two."""
    m, k, n = shape
    return 2e-9 * m * k * n / seconds


def named(shape: Shape) -> str:
    """Return the shapes in words."""
    m, k, n = shape
    return f"{m} x {k} by {k} x {n}"
