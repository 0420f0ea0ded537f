"""Algorithms for matrix multiplication are verified exactly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolver.bundled import bundled
from evolver.errors import CandidateOutputError, UsageError
from evolver.sandboxes.local import LocalSandbox
from evolver.sandboxes.settings import SandboxSettings
from evolver.tasks.plugins import load_module
from evolver.tasks.task import load_task
from evolver.types import Program, Result

#: The shapes of AlphaEvolve's table 3 whose rows are known with certainty, then the others.
CERTAIN = """
2,2,2 2,2,3 2,2,4 2,2,5 2,2,6 2,2,7 2,2,8 2,2,9 2,2,10 2,2,11 2,2,12 2,2,13 2,2,14 2,2,15 2,2,16
2,3,3 2,3,4 2,3,5 2,4,5 2,4,7 2,4,8 2,5,6 3,3,3 3,4,4 3,4,5 3,4,6 3,4,7 3,4,8 3,5,5 3,5,6 3,5,7
4,4,4 4,4,5 4,4,6 4,4,7 4,4,8 4,4,9 4,5,5 4,5,6 5,5,5 6,6,6
"""
UNCERTAIN = """
2,3,6 2,3,7 2,3,8 2,3,9 2,3,10 2,4,4 2,4,6 2,5,5 3,3,4 3,3,5 3,3,6 3,3,7 3,3,8
"""


def shapes(text: str) -> list[tuple[int, int, int]]:
    """Return the shapes of a list, m <= n <= p."""
    return [tuple(map(int, one.split(","))) for one in text.split()]  # type: ignore[misc]


def plugin() -> Any:
    return load_module(bundled("evaluators") / "matrix_multiplication.py")


class Answering:
    """A candidate that returns the factors it was made with, whatever the seed."""

    def __init__(self, *factors: Any) -> None:
        self.rng = Random(0)
        self.factors = factors
        self.seeds: list[int] = []
        self.ranks: list[int] = []

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


@pytest.mark.parametrize("shape", [*shapes(CERTAIN), *shapes(UNCERTAIN), (1, 2, 3), (2, 3, 2)])
def test_the_schoolbook_is_exact_and_with_one_wrong_entry_it_is_not(
    shape: tuple[int, int, int],
) -> None:
    m, n, p = shape
    factors = schoolbook(m, n, p)
    result = judge(factors, shape, seeds=1)
    assert result.metrics["share"] == 1.0
    assert result.metrics["rank"] == m * n * p
    assert result.metrics["distance"] == 0.0
    rng = np.random.default_rng(m * n * p)
    tampered = factors[rng.integers(3)]
    tampered[tuple(rng.integers(tampered.shape))] += rng.choice([-0.5, 0.5, 1.0])
    assert judge(factors, shape, seeds=1).metrics["distance"] > 0


def test_records_are_shown_for_the_shapes_of_which_they_are_certain() -> None:
    assert len(shapes(CERTAIN)) == 41
    assert len(set(shapes(CERTAIN) + shapes(UNCERTAIN))) == 54
    for m, n, p in shapes(CERTAIN):
        (record,) = plugin().Evaluator(m=m, n=n, p=p).references()["before AlphaEvolve"]
        assert 0 < record["rank"] < m * n * p
    for m, n, p in shapes(UNCERTAIN):
        assert plugin().Evaluator(m=m, n=n, p=p).references() == {}


def test_the_largest_entries_of_the_largest_shape_do_not_overflow() -> None:
    rng = np.random.default_rng(1)
    rank = 216
    parts = [[rng.choice([-128, 128], size=(36, rank)) for _ in range(2)] for _ in range(3)]
    parts[2] = [np.full((36, rank), 128), np.full((36, rank), 0)]  # so that nothing cancels
    parts[1] = [parts[0][0], -parts[0][1]]  # conjugate: the products on the diagonal are real
    one, other, last = [a.astype(object) + 1j * b.astype(object) for a, b in parts]
    exact = sum(one[3] * other[3] * last[5])
    (a, b), (c, d), (e, _) = parts
    found = plugin()._pairwise(a, c) @ e.T - plugin()._pairwise(b, d) @ e.T
    assert found.dtype == np.int64
    assert found.reshape(36, 36, 36)[3, 3, 5] == exact.real == 2 * 128**3 * rank


@pytest.mark.parametrize("field", ["integers", "half-integers", "gaussian"])
def test_strassen_is_exact_with_seven_and_its_square_with_49(field: str) -> None:
    found = judge(strassen(), field=field)
    assert found.metrics["rank"] == 7
    assert found.metrics["progress"] == 2.0
    square = judge(squared(strassen()), (4, 4, 4), field=field)
    assert square.metrics["rank"] == 49
    assert square.metrics["share"] == 1.0


# Strassen's algorithm with columns scaled so that the product of the scales is 1; what the fields
# that have no such numbers make of it: rounded (8: the schoolbook's), or refused (None).
SCALED = {
    "whole": ((1, -1, -1), {"integers": 7, "half-integers": 7, "gaussian": 7}),
    "halves": ((1 / 2, 2, 1), {"integers": 8, "half-integers": 7, "gaussian": 7}),
    "quarters": ((1 / 4, 4, 1), {"integers": 8, "half-integers": 8, "gaussian": 8}),
    "turned": ((1j, -1j, 1), {"integers": None, "half-integers": None, "gaussian": 7}),
    "turned halves": (
        ((1 + 1j) / 2, 1 - 1j, 1),
        {"integers": None, "half-integers": None, "gaussian": 7},
    ),
    "not real": ((1j, 1, 1), {"integers": None, "half-integers": None, "gaussian": 8}),
}


@pytest.mark.parametrize("field", ["integers", "half-integers", "gaussian"])
@pytest.mark.parametrize("name", SCALED)
def test_a_field_has_the_numbers_it_says_and_no_others(name: str, field: str) -> None:
    scales, expected = SCALED[name]
    factors = [scale * factor for scale, factor in zip(scales, strassen(), strict=True)]
    if expected[field] is None:
        with pytest.raises(CandidateOutputError, match="numbers of the field"):
            judge(factors, field=field)
    else:
        assert judge(factors, field=field).metrics["rank"] == expected[field]


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


@given(
    axis=st.integers(0, 2),
    row=st.integers(0, 3),
    column=st.integers(0, 6),
    nearer=st.floats(0.26, 2.0),
    further=st.floats(0.05, 1.0),
    sign=st.sampled_from([-1.0, 1.0]),
)
def test_what_is_nearer_to_exact_has_a_smaller_distance(
    axis: int, row: int, column: int, nearer: float, further: float, sign: float
) -> None:
    distances = []
    for wrong in (0.0, nearer, nearer + further):
        factors = strassen()
        factors[axis][row, column] += sign * wrong
        distances.append(judge(factors, seeds=1).metrics["distance"])
    assert distances[0] == 0.0
    assert 0.0 < distances[1] < distances[2] or distances[2] == 1.0


def test_it_goes_down_while_a_seed_succeeds() -> None:
    class Padding(Answering):
        def call(self, function: str, *args: Any) -> Any:
            *_, rank, seed = args
            self.seeds.append(seed)
            self.ranks.append(rank)
            if rank < 7:
                return [np.zeros((4, rank))] * 3
            return [np.pad(f, ((0, 0), (0, rank - 7))) for f in self.factors]

    candidate = Padding(*strassen())
    metrics = plugin().Evaluator(rank_from=8, rank_to=6, seeds=3).evaluate(candidate).metrics
    assert metrics["rank"] == 7
    assert metrics["progress"] == pytest.approx(1 + 0.5 + (1 - metrics["distance"]) / 2)
    # One seed is enough to go down from 8; 7 gets three in the end, 6 in vain; all are secret.
    assert candidate.ranks == [8, 7, 6, 6, 6, 7, 7]
    assert len(set(candidate.seeds)) == 7


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


STORED = sorted(bundled("examples").glob("multiply-*/rank-*.json"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_was_found_and_kept_is_exact(path: Path) -> None:
    found = json.loads(path.read_text())
    shape = found["m"], found["n"], found["p"]
    factors = [np.array(found[name], dtype=float) for name in "UVW"]
    metrics = judge(factors, shape).metrics
    assert path.parent.name == f"multiply-{'x'.join(map(str, shape))}"
    assert metrics["rank"] == found["rank"] == int(path.stem.partition("-")[2])
    assert metrics["share"] == 1.0
    factors[1][0, 0] += 1
    assert judge(factors, shape).metrics["distance"] > 0


def test_the_best_known_ranks_are_kept() -> None:
    kept = {f"{path.parent.name}/{path.stem}" for path in STORED}
    assert kept >= {
        "multiply-2x2x2/rank-7",
        "multiply-2x2x3/rank-11",
        "multiply-2x3x3/rank-15",
        "multiply-3x3x3/rank-23",
    }


class Stacking(Answering):
    """A candidate that returns the same factors for each of the seeds that it gets as a list."""

    def call(self, function: str, *args: Any) -> Any:
        assert function == "decompose_many"
        *_, rank, seeds, self.device = args
        self.ranks.append(rank)
        self.seeds += seeds
        return [np.stack([factor] * len(seeds)) for factor in self.factors]


MANY = {"batched": True, "function": "decompose_many", "rank_from": 7, "rank_to": 7}


def test_all_seeds_go_in_one_call_where_the_program_takes_them() -> None:
    candidate = Stacking(*strassen())
    evaluator = plugin().Evaluator(**MANY, seeds=5)
    assert evaluator.evaluate(candidate).metrics["share"] == 1.0
    assert (candidate.ranks, candidate.device) == ([7], "cpu")
    assert len(set(candidate.seeds)) == 5

    class Wrong(Stacking):
        def call(self, function: str, *args: Any) -> Any:
            stacks = super().call(function, *args)
            stacks[0][2] += 1.0  # one of them
            return stacks

    assert evaluator.evaluate(Wrong(*strassen())).metrics["share"] == 0.8
    with pytest.raises(CandidateOutputError, match="shape"):
        plugin().Evaluator(**MANY).evaluate(Stacking(*[factor[:3] for factor in strassen()]))


def test_a_device_needs_a_program_that_is_told_of_it_and_a_machine_that_has_it() -> None:
    plugin().Evaluator().check_host([])
    plugin().Evaluator(**MANY).check_host([])
    with pytest.raises(UsageError, match="batched = true"):
        plugin().Evaluator(device="cuda").check_host([0])
    with pytest.raises(UsageError, match="GPU"):
        plugin().Evaluator(**MANY, device="cuda").check_host([])


def metrics_of_seed(name: str, tries: int = 1, **settings: Any) -> Mapping[str, float]:
    """Evaluate the seed of a task in a real sandbox, with other settings, until it is exact."""
    task = load_task(bundled("examples") / name)
    evaluator = plugin().Evaluator(**{**task.settings.evaluator.with_, **settings})
    sandbox = SandboxSettings(allow_unisolated=True, memory=2048)
    with (
        closing(LocalSandbox(sandbox)) as opened,
        opened.open(Program(0, task.files), seed=1, timeout=300.0) as candidate,
    ):
        for _ in range(tries):
            metrics: Mapping[str, float] = evaluator.evaluate(candidate).metrics
            if metrics["distance"] == 0.0:
                break
    return metrics


def test_the_seed_finds_seven_with_every_seed() -> None:
    assert metrics_of_seed("multiply-2x2x2") == {
        "progress": 2.0, "rank": 7.0, "share": 1.0, "distance": 0.0,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rank", "tries"),
    # Measured: all seeds, two in three and one in three.
    [("multiply-2x2x3", 11, 1), ("multiply-2x3x3", 15, 8), ("multiply-3x3x3", 23, 15)],
)
def test_the_seed_finds_the_best_known_rank(name: str, rank: int, tries: int) -> None:
    metrics = metrics_of_seed(name, tries, rank_from=rank, seeds=1)
    assert (metrics["rank"], metrics["share"]) == (rank, 1.0)


@pytest.mark.slow
def test_the_same_search_runs_in_torch() -> None:
    pytest.importorskip("torch", reason="torch is not installed here")
    small = {"m": 2, "n": 2, "p": 2, "rank_from": 7, "rank_to": 7, "seeds": 4}
    assert metrics_of_seed("multiply-torch", **small)["share"] >= 0.5


@pytest.mark.parametrize(
    "settings", [{"rank_from": 6}, {"rank_to": 0}, {"seeds": 0}, {"m": 0}], ids=str
)
def test_settings_that_ask_nothing_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        plugin().Evaluator(**settings)
