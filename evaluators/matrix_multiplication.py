"""Scores algorithms for matrix multiplication by their rank, AlphaEvolve's appendix A.

A rank-R decomposition of the tensor of an m x n by n x p product is an algorithm with R
multiplications. The check is in exact integers: twice each factor, for factors in halves, must give
eight times the tensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evolver import extras
from evolver.errors import CandidateOutputError, UsageError
from evolver.scoring import devices
from evolver.types import Candidate, Result

Field = Literal["integers", "half-integers", "gaussian"]
_LARGEST = 64.0  # magnitude of an entry: eight times a product of three is far below 2**63

# (m, n, p) with m <= n <= p -> (best before, AlphaEvolve's), Novikov 2025, table 3; C marks ranks
# over the complex numbers. Shapes whose row we could not read with certainty are left out.
_RANKS = """
2,2,2 7 7; 2,2,3 11 11; 2,2,4 14 14; 2,2,5 18 18; 2,2,6 21 21; 2,2,7 25 25; 2,2,8 28 28;
2,2,9 32 32; 2,2,10 35 35; 2,2,11 39 39; 2,2,12 42 42; 2,2,13 46 46; 2,2,14 49 49; 2,2,15 53 53;
2,2,16 56 56; 2,3,3 15 15; 2,3,4 20 20; 2,3,5 25 25; 2,4,5 33 32; 2,4,7 46 45; 2,4,8 52 51;
2,5,6 48 47; 3,3,3 23 23; 3,4,4 38 38; 3,4,5 47 47; 3,4,6 56 54; 3,4,7 66 63C; 3,4,8 75 74;
3,5,5 58 58; 3,5,6 70 68; 3,5,7 82 80; 4,4,4 49 48C; 4,4,5 62 61; 4,4,6 73 73; 4,4,7 87 85;
4,4,8 98 96C; 4,4,9 104 108; 4,5,5 76 76; 4,5,6 93 90; 5,5,5 93 93; 6,6,6 153 156
"""
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Evaluator:
    """Runs a program that searches for decompositions, rank by rank, each with several seeds.

    The candidate's function gets m, n, p, a rank R and a seed, and returns factors U, V, W of shape
    (m n, R), (n p, R), (m p, R) with sum over r of U[ij, r] V[jk, r] W[ik, r] = 1, and 0 for all
    other index triples; the matrices' entries are numbered row by row. Factors are rounded to
    `field` and are then exact or not. The evaluator starts at `rank_from`. When a seed succeeds it
    goes one rank down, at most to `rank_to`; the remaining seeds go to the lowest rank that was
    reached. Novikov 2025, https://arxiv.org/abs/2506.13131,
    section 3.1; Strassen 1969.

    Attributes:
        m: rows of the first matrix.
        n: its columns, and rows of the second.
        p: columns of the second.
        rank_from: the first rank.
        rank_to: the last rank.
        field: "integers", "half-integers", or "gaussian": complex numbers with both parts halves.
        seeds: how many for each rank; they are secret and new for each evaluation.
        batched: does the function get all seeds as a list, and a device, instead of one seed, and
            return a stack of each factor, of shape (seeds, m n, R) and so on? Then each rank takes
            one call with all seeds.
        device: "cpu" or "cuda", for a batched function; `[sandbox] gpus` names the GPU.
        function: name of the candidate's function.
    """

    m: int = 2
    n: int = 2
    p: int = 2
    rank_from: int = 8
    rank_to: int = 7
    field: Field = "half-integers"
    seeds: int = 4
    batched: bool = False
    device: devices.Device = "cpu"
    function: str = "decompose"

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.m, self.n, self.p) < 1 or self.seeds < 1:
            raise UsageError("m, n, p and seeds must be at least 1")
        if not 1 <= self.rank_to <= self.rank_from:
            raise UsageError(
                f"rank_from = {self.rank_from}, rank_to = {self.rank_to}: rank_to must be at least "
                "1 and at most rank_from"
            )

    def check_host(self, gpus: Sequence[int]) -> None:
        """Check that the device is available, and that the function gets its name."""
        if self.device != "cpu" and not self.batched:
            raise UsageError(
                f'device = "{self.device}" needs batched = true: without it the function does not '
                "get the device"
            )
        devices.require(self.device, gpus)
        if self.device == "cuda":
            extras.require_modules("torch")

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `progress` and its parts.

        `rank` is the lowest that a seed reached (m n p, the schoolbook's, if none did), `share` is
        the part of the seeds that reached it, and `distance`, between 0 and 1, is how far the
        nearest result of the next lower rank is from exact (0 at `rank_to`);
        progress = m n p - rank + share / 2 + (1 - distance) / 2.

        Raises:
            CandidateError: the factors are not finite numbers of these shapes.
        """
        rank, distance, reached = self.m * self.n * self.p, 0.0, [0.0] * self.seeds
        for wanted in range(self.rank_from, self.rank_to - 1, -1):
            distances = self._attempt(candidate, wanted)
            if 0.0 not in distances:
                distance = min(distances)
                break
            rank, reached = wanted, distances
        reached += [self._one(candidate, rank) for _ in range(self.seeds - len(reached))]
        share = reached.count(0.0) / self.seeds
        gained = self.m * self.n * self.p - rank
        return Result(
            {
                "progress": gained + share / 2 + (1 - distance) / 2,
                "rank": float(rank),
                "share": share,
                "distance": distance,
            },
            feedback=f"rank {rank} by {share:.0%} of the seeds"
            + (f"; the nearest of rank {wanted} is {distance:.3g} from exact" if distance else ""),
        )

    def _attempt(self, candidate: Candidate, rank: int) -> list[float]:
        """Return the distances of seeds up to the first exact one, whose distance is 0.

        A batched function gives the distances of all seeds.
        """
        if self.batched:
            return self._all(candidate, rank)
        distances: list[float] = []
        while len(distances) < self.seeds and 0.0 not in distances:
            distances.append(self._one(candidate, rank))
        return distances

    def _one(self, candidate: Candidate, rank: int) -> float:
        seed = candidate.rng.getrandbits(31)
        returned = candidate.call(self.function, self.m, self.n, self.p, rank, seed)
        return self._distance(self._factors(returned, rank))

    def _all(self, candidate: Candidate, rank: int) -> list[float]:
        seeds = [candidate.rng.getrandbits(31) for _ in range(self.seeds)]
        returned = candidate.call(self.function, self.m, self.n, self.p, rank, seeds, self.device)
        stacked = self._factors(returned, rank, self.seeds)
        return [self._distance([factor[i] for factor in stacked]) for i in range(self.seeds)]

    def _distance(self, factors: Sequence[NDArray[np.complex128]]) -> float:
        """Return 0 for factors that are exact after rounding, else their distance from that."""
        doubled = [np.rint(2 * factor) for factor in factors]
        if self.field == "integers":
            doubled = [2 * np.rint(factor) for factor in factors]
        if np.array_equal(_exact_product([_whole(one) for one in doubled]), 8 * self._tensor):
            return 0.0
        size = np.linalg.norm(self._tensor)
        misfit = np.linalg.norm(_product(factors) - self._tensor) / size
        off_grid = np.sqrt(
            np.mean(
                [np.mean(np.abs(a - b / 2) ** 2) for a, b in zip(factors, doubled, strict=True)]
            )
        )
        return float(min(1.0, max(1e-9, (misfit + off_grid) / 2)))

    def _factors(self, returned: object, rank: int, *stack: int) -> list[NDArray[np.complex128]]:
        """Check the function's answer: three arrays, or a stack of each."""
        if not isinstance(returned, list | tuple) or len(returned) != 3:
            raise CandidateOutputError(f"{self.function} must return (U, V, W)")
        rows = (self.m * self.n, self.n * self.p, self.m * self.p)
        shapes = [(*stack, length, rank) for length in rows]
        factors = []
        for name, value, shape in zip("UVW", returned, shapes, strict=True):
            kinds = "fiuc" if self.field == "gaussian" else "fiu"
            if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds:
                raise CandidateOutputError(f"{name} must be an array of numbers of the field")
            if value.shape != shape:
                raise CandidateOutputError(f"{name} must have the shape {shape}, not {value.shape}")
            factor = value.astype(np.complex128)
            if not np.isfinite(factor).all() or np.abs(factor).max() > _LARGEST:
                raise CandidateOutputError(
                    f"{name} must have finite entries of at most {_LARGEST:g}"
                )
            factors.append(factor)
        return factors

    @cached_property
    def _tensor(self) -> NDArray[np.int64]:
        return tensor(self.m, self.n, self.p)

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the published ranks of this shape, for real factors."""
        wanted = ",".join(map(str, sorted((self.m, self.n, self.p))))
        for row in _RANKS.replace("\n", " ").split(";"):
            shape, before, found = row.split()
            if shape == wanted:
                series = {"before AlphaEvolve": [self._point(before)]}
                if self.field == "gaussian" or not found.endswith("C"):
                    series["AlphaEvolve"] = [self._point(found.removesuffix("C"))]
                return series
        return {}

    def _point(self, rank: str) -> Mapping[str, float]:
        """Return the metrics of a program whose seeds all reach a rank, and none a lower one."""
        return {"rank": float(rank), "progress": self.m * self.n * self.p - float(rank) + 1}


def tensor(m: int, n: int, p: int) -> NDArray[np.int64]:
    """Return the tensor of the product, of shape (m n, n p, m p)."""
    result = np.zeros((m, n, n, p, m, p), dtype=np.int64)
    for i in range(m):
        for j in range(n):
            for k in range(p):
                result[i, j, j, k, i, k] = 1
    return result.reshape(m * n, n * p, m * p)


def _whole(doubled: NDArray[np.complex128]) -> tuple[Whole, Whole]:
    return doubled.real.astype(np.int64), doubled.imag.astype(np.int64)


def _product(factors: Sequence[NDArray[np.complex128]]) -> NDArray[np.complex128]:
    """Return the tensor that factors make."""
    made: NDArray[np.complex128] = np.einsum("ar,br,cr->abc", *factors, optimize=True)
    return made


def _exact_product(factors: Sequence[tuple[Whole, Whole]]) -> Whole:
    """Return the tensor that factors make, each a pair of a real and an imaginary part."""
    (a, b), (c, d), (e, f) = factors
    shape = len(a), len(c), len(e)
    if not (b.any() or d.any() or f.any()):
        return (_pairwise(a, c) @ e.T).reshape(shape)
    real = _pairwise(a, c) - _pairwise(b, d)
    imaginary = _pairwise(a, d) + _pairwise(b, c)
    if (real @ f.T + imaginary @ e.T).any():
        return np.zeros(0, dtype=np.int64)  # not real, so not the tensor
    return (real @ e.T - imaginary @ f.T).reshape(shape)


def _pairwise(one: Whole, other: Whole) -> Whole:
    """Return one[a, r] * other[b, r] as an array of shape (a b, r)."""
    return (one[:, None, :] * other[None, :, :]).reshape(-1, one.shape[1])
