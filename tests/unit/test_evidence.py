"""Means, intervals and claims: what repeated measurements say, and what they do not."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolver.search.evidence import Verdict, error_of, fewest, interval, is_above, mean
from evolver.storage.facts import Confirmation, Round
from evolver.types import Evaluation

# Two-sided quantiles of Student's t, from any table.
TABLE = [
    (0.05, 1, 12.706),
    (0.05, 9, 2.262),
    (0.05, 19, 2.093),
    (0.01, 4, 4.604),
    (0.001, 29, 3.659),
]


@pytest.mark.parametrize(("error", "freedom", "quantile"), TABLE)
def test_the_interval_is_students(error: float, freedom: int, quantile: float) -> None:
    values = [float(k) for k in range(freedom + 1)]
    found = interval(values, error)
    spread = math.sqrt(sum((v - found.mean) ** 2 for v in values) / freedom)
    half = quantile * spread / math.sqrt(freedom + 1)
    assert (found.high - found.mean) == pytest.approx(half, rel=1e-3)
    assert (found.mean - found.low) == pytest.approx(half, rel=1e-3)


@given(st.floats(-1e9, 1e9), st.integers(1, 30))
def test_the_mean_of_equal_numbers_is_that_number(value: float, n: int) -> None:
    assert mean([value] * n) == value


def test_one_measurement_alone_bounds_nothing() -> None:
    assert interval([3.0], 0.05) == (3.0, -math.inf, math.inf)
    assert interval([3.0, 3.0], 0.05) == (3.0, 3.0, 3.0)
    assert not is_above([5.0], 0.05, is_continuous=True)


def test_all_rounds_together_spend_no_more_than_five_percent() -> None:
    assert sum(error_of(k) for k in range(1, 10_000)) < 0.05
    assert all(2.0 ** -fewest(k) <= error_of(k) / 2 < 2.0 ** (1 - fewest(k)) for k in range(1, 99))


@pytest.mark.parametrize(
    ("gains", "is_continuous", "expected"),
    [
        ([0.1] * 3, True, True),  # the noise is that of the inputs, and the pairs cancel it
        ([1.0] * 3, False, False),  # three coins in a row
        ([1.0] * 8, False, True),
        ([0.0] * 15 + [1.0] * 5, True, False),  # five of twenty moved: 1 in 32 by chance
        ([0.0] * 10 + [1.0] * 10, True, True),
        ([0.0] * 20, True, False),
        ([-0.1] * 20, True, False),
        ([0.9, 1.1, 1.0, 0.95, 1.05], True, True),
        ([0.9, -1.1, 1.0, -0.95, 1.05], True, False),
    ],
)
def test_what_is_above_by_more_than_chance(
    gains: list[float], is_continuous: bool, expected: bool
) -> None:
    assert is_above(gains, error_of(1), is_continuous=is_continuous) is expected


NOISES = {
    "gauss": lambda chance: chance.gauss(0, 1),
    "seconds": lambda chance: chance.lognormvariate(0, 0.5),
    "coin": lambda chance: float(chance.random() < 0.5),
    "nearly always": lambda chance: float(chance.random() < 0.95),
    "count": lambda chance: float(sum(chance.random() < 0.3 for _ in range(5))),
    "outliers": lambda chance: chance.gauss(0, 1) + 50 * (chance.random() < 0.05),
}


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("n", [7, 20])
def test_what_is_no_better_is_seldom_called_better(kind: str, n: int) -> None:
    noise, chance, trials = NOISES[kind], Random(f"{kind}{n}"), 1500
    claimed = 0
    for _ in range(trials):
        own, seed = ([noise(chance) for _ in range(n)] for _ in range(2))
        gains = [x - y for x, y in zip(own, seed, strict=True)]
        claimed += is_above(gains, error_of(1), is_continuous=len(set(seed)) == n)
    share = error_of(1) / 2
    assert claimed <= trials * share + 3 * math.sqrt(trials * share)


def row(program: int, value: float | None, repeat: int, **more: object) -> Confirmation:
    status = "ok" if value is not None else "crashed"
    metrics = {} if value is None else {"value": value}
    objectives = None if value is None else (value,)
    evaluation = Evaluation(status, metrics, objectives=objectives, **more)  # type: ignore[arg-type]
    return Confirmation(program, evaluation, 5, 5, 1, repeat)


def test_a_repeat_that_failed_disqualifies_unless_it_was_the_evaluators_fault() -> None:
    closed = Round(1, (3, 0), 1, 7, 20, seen=5, begun=5)
    rows = [row(3, 2.0, 0), row(0, 1.0, 0), row(3, 4.0, 1), row(0, None, 1, fault="evaluator")]
    verdict = Verdict.of(closed, rows)
    assert verdict.failed == frozenset()
    assert verdict.confirmed[3].objectives == (3.0,)
    assert verdict.confirmed[0].objectives == (1.0,)
    broken = Verdict.of(closed, [*rows, row(3, None, 2, fault="candidate")])
    assert broken.failed == {3}
    assert set(broken.confirmed) == {0}
