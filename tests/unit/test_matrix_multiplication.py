"""Algorithms for matrix multiplication are verified exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evolver.bundled import bundled
from evolver.errors import CandidateOutputError
from evolver.plugins import load_module
from evolver.types import Result

SHAPES = [(2, 2, 2), (1, 2, 3), (2, 3, 2)]


def plugin() -> Any:
    return load_module(bundled("evaluators") / "matrix_multiplication.py")


class Answering:
    """A candidate that returns the factors it was made with, whatever the seed."""

    def __init__(self, *factors: Any) -> None:
        from random import Random

        self.rng = Random(0)
        self.factors = factors
        self.seeds: list[int] = []

    def call(self, function: str, *args: Any) -> Any:
        assert function == "decompose"
        self.seeds.append(args[-1])
        return self.factors


def judge(factors: Any, shape: tuple[int, int, int] = (2, 2, 2), **settings: Any) -> Result:
    m, n, p = shape
    rank = factors[0].shape[1]
    settings = {"rank_from": rank, "rank_to": rank, **settings}
    result: Result = plugin().Evaluator(m=m, n=n, p=p, **settings).evaluate(Answering(*factors))
    return result


def strassen() -> list[Any]:
    """Strassen 1969, with the products' coefficients as they stand in every textbook."""
    a = [
        (1, 0, 0, 1),
        (0, 0, 1, 1),
        (1, 0, 0, 0),
        (0, 0, 0, 1),
        (1, 1, 0, 0),
        (-1, 0, 1, 0),
        (0, 1, 0, -1),
    ]
    b = [
        (1, 0, 0, 1),
        (1, 0, 0, 0),
        (0, 1, 0, -1),
        (-1, 0, 1, 0),
        (0, 0, 0, 1),
        (1, 1, 0, 0),
        (0, 0, 1, 1),
    ]
    c = [
        (1, 0, 0, 1),
        (0, 0, 1, -1),
        (0, 1, 0, 1),
        (1, 0, 1, 0),
        (-1, 1, 0, 0),
        (0, 0, 0, 1),
        (1, 0, 0, 0),
    ]
    return [np.array(rows, dtype=float).T for rows in (a, b, c)]  # fmt: skip


def squared(factors: list[Any]) -> list[Any]:
    """Return the algorithm for 4 x 4 that multiplies 2 x 2 blocks by the one for 2 x 2."""
    found = []
    for factor in factors:
        rank = factor.shape[1]
        one = factor.reshape(2, 2, rank)
        both = np.einsum("ijr,kls->ikjlrs", one, one)  # (outer row, inner row, outer column, ...)
        found.append(both.reshape(16, rank * rank))
    return found


def schoolbook(m: int, n: int, p: int) -> list[Any]:
    rank = m * n * p
    u, v, w = np.zeros((m * n, rank)), np.zeros((n * p, rank)), np.zeros((m * p, rank))
    for r, (i, j, k) in enumerate(np.ndindex(m, n, p)):
        u[i * n + j, r] = v[j * p + k, r] = w[i * p + k, r] = 1
    return [u, v, w]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_schoolbook_is_exact(shape: tuple[int, int, int]) -> None:
    result = judge(schoolbook(*shape), shape)
    assert result.metrics["share"] == 1.0
    assert result.metrics["rank"] == np.prod(shape)


@pytest.mark.parametrize("field", ["integers", "half-integers", "gaussian"])
def test_strassen_is_exact_with_seven_and_its_square_with_49(field: str) -> None:
    found = judge(strassen(), field=field)
    assert found.metrics["rank"] == 7
    assert found.metrics["progress"] == 2.0
    square = judge(squared(strassen()), (4, 4, 4), field=field)
    assert square.metrics["rank"] == 49
    assert square.metrics["share"] == 1.0


def test_halves_and_complex_numbers_are_exact_where_the_field_has_them() -> None:
    u, v, w = strassen()
    halves = [u / 2, v * 2, w]
    assert judge(halves).metrics["rank"] == 7
    assert judge(halves, field="integers").metrics["share"] == 1.0  # of the schoolbook's: none
    assert judge(halves, field="integers").metrics["rank"] == 8
    turned = [u * 1j, v * -1j, w]
    assert judge(turned, field="gaussian").metrics["rank"] == 7
    with pytest.raises(CandidateOutputError, match="numbers of the field"):
        judge(turned)
    # Imaginary parts that do not cancel are no algorithm.
    assert judge([u * 1j, v, w], field="gaussian").metrics["rank"] == 8


def test_every_tampered_entry_is_found() -> None:
    factors = strassen()
    for index, factor in enumerate(factors):
        for place in np.ndindex(factor.shape):
            tampered = [one.copy() for one in factors]
            tampered[index][place] += 0.5
            result = judge(tampered)
            assert result.metrics["rank"] == 8, place
            assert 0 < result.metrics["distance"] <= 1


def test_what_is_near_is_rounded_and_what_is_not_has_a_distance() -> None:
    factors = strassen()
    assert judge([f + 0.1 for f in factors]).metrics["rank"] == 7
    one_off = [f.copy() for f in factors]
    one_off[0][0, 0] += 0.3
    far = judge(one_off).metrics["distance"]
    farther = judge([f * 0 for f in factors]).metrics["distance"]
    assert 0 < far < farther < judge([f + 0.3 for f in factors]).metrics["distance"] <= 1


def test_it_goes_down_while_a_seed_succeeds() -> None:
    class Padding(Answering):
        def call(self, function: str, *args: Any) -> Any:
            *_, rank, seed = args
            self.seeds.append(seed)
            if rank < 7:
                return [np.zeros((4, rank))] * 3
            return [np.pad(f, ((0, 0), (0, rank - 7))) for f in self.factors]

    candidate = Padding(*strassen())
    metrics = plugin().Evaluator(rank_from=8, rank_to=6, seeds=3).evaluate(candidate).metrics
    assert metrics["rank"] == 7
    assert metrics["progress"] == pytest.approx(1 + 0.5 + (1 - metrics["distance"]) / 2)
    assert len(set(candidate.seeds)) == 9  # three ranks, three secret seeds each


@pytest.mark.parametrize(
    "factors",
    [
        [np.zeros((4, 7))] * 2,
        [np.zeros((4, 6))] * 3,
        [np.full((4, 7), np.nan)] * 3,
        [np.full((4, 7), 1e300)] * 3,
        [np.zeros((4, 7), dtype=bool)] * 3,
        [[[0.0] * 7] * 4] * 3,
    ],
    ids=["two", "rank", "nan", "huge", "bool", "lists"],
)
def test_what_is_no_factor_is_refused(factors: Any) -> None:
    candidate = Answering(*factors)
    with pytest.raises(CandidateOutputError):
        plugin().Evaluator(rank_from=7, rank_to=7).evaluate(candidate)


@pytest.mark.parametrize(
    ("shape", "field", "rank"),
    [
        ((2, 2, 2), "half-integers", 7),
        ((5, 4, 3), "half-integers", 47),
        ((4, 4, 4), "gaussian", 48),
    ],
)
def test_the_published_ranks_stand_beside_it(
    shape: tuple[int, int, int], field: str, rank: int
) -> None:
    m, n, p = shape
    records = plugin().Evaluator(m=m, n=n, p=p, field=field).references()
    (record,) = records["AlphaEvolve"]
    assert record == {"rank": float(rank), "progress": m * n * p - rank + 1.0}


def test_ranks_over_the_complex_numbers_and_unknown_ones_are_not_shown() -> None:
    assert set(plugin().Evaluator(m=4, n=4, p=4).references()) == {"before AlphaEvolve"}
    assert plugin().Evaluator(m=7, n=7, p=7).references() == {}
