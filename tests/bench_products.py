"""Products of matrices for tests of `evolver.scoring.bench`: what is drawn, and what is right."""

from __future__ import annotations

from random import Random

import numpy as np

from evolver.errors import CandidateOutputError
from evolver.scoring import bench

SIZE = 190


def factors(rng: Random, shape: tuple[int, int, int] = (SIZE, SIZE, SIZE), dtype: str = "float32"):
    m, k, n = shape
    size = 10 ** rng.uniform(-1, 1)
    drawn = bench.Drawn((m, k), dtype, -size, size), bench.Drawn((k, n), dtype, -size / 2, size)
    return bench.Call(drawn, (m, n), dtype)


def check(piece: bench.Piece) -> None:
    """Refuse what is no product of single precision."""
    k, n = piece.call.inputs[1].shape
    places = np.arange(0, len(piece.values), 37)
    rows, columns = np.divmod(piece.first + places, n)
    a = piece.input(0, rows[:, None] * k + np.arange(k))
    b = piece.input(1, columns[:, None] + np.arange(k) * n)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    error = np.abs((a * b).sum(1) - piece.values[places]) / norms
    if error.max() > 1e-5:
        raise CandidateOutputError(f"the product is off by {error.max():.3g}")
