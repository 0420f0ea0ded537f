"""Straight lines in other units than their target's, and literals of other formats."""

from __future__ import annotations

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st

from evolver.scoring.straightline import DoubleDouble, LineResiduals, Node, Samples, StraightLine
from evolver.scoring.straightline.minimax import rounded

X = np.linspace(0.5, 2.0, 9)
UNIT = np.ldexp(1.0, np.frexp(np.exp(X))[1] - 24)  # the spacing of float32 numbers there
#: p0 + x * p1
LINE = StraightLine(
    (Node("x"), Node("p", 0), Node("p", 1), Node("*", 0, 2), Node("+", 3, 1))
)  # fmt: skip


def samples(unit: np.ndarray | None) -> Samples:
    return Samples(X, DoubleDouble.of(np.exp(X)), unit)


def test_an_error_of_one_unit_is_one() -> None:
    values = np.exp(X) + UNIT * np.arange(9)
    assert samples(UNIT).errors(values) == pytest.approx(np.arange(9), abs=1e-6)
    assert samples(UNIT).fine_errors(DoubleDouble.of(values)) == pytest.approx(
        np.arange(9), abs=1e-6
    )
    assert samples(None).errors(1.25 * np.exp(X)) == pytest.approx(0.25)


@pytest.mark.parametrize("unit", [None, UNIT])
def test_residuals_know_their_slopes(unit: np.ndarray | None) -> None:
    residuals = LineResiduals(LINE, np.array([1.0, 2.0]), samples(unit), samples(unit))
    vectors = np.array([[1.0, 2.0], [-3.0, 0.5]])
    values, slopes = residuals.linearize(vectors)
    assert values == pytest.approx(residuals(vectors))
    for column in range(2):
        moved = vectors.copy()
        moved[:, column] += 1e-3
        assert slopes[:, :, column] == pytest.approx((residuals(moved) - values) / 1e-3, rel=1e-6)


def test_constants_are_changed_and_nothing_else() -> None:
    line = StraightLine((Node("x"), Node("c", value=0.1), Node("*", 0, 1)))
    changed = line.with_constants(lambda value: 3 * value)
    assert [node.kind for node in changed.nodes] == ["x", "c", "*"]
    assert changed.run(2.0)[-1] == pytest.approx(0.6)


def spacing(values: np.ndarray) -> np.ndarray:
    return np.spacing(values.astype(np.float32)).astype(np.float64)


def rounding(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Round literals; return them, the exact ones, and the error over that of the nearest ones."""
    rng = np.random.default_rng(seed)
    exact = rng.uniform(-3, 3, count)
    slopes = np.vander(np.linspace(0, 1, 20), count)  # a polynomial's
    errors = 1e-9 * rng.standard_normal(20)
    high = exact.astype(np.float32).astype(np.float64)
    found = rounded(high, exact - high, errors, slopes, spacing)

    def largest(literals: np.ndarray) -> float:
        return float(np.abs(errors + slopes @ (literals - exact)).max())

    return found, exact, largest(found) / largest(high)


@examples(60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_literals_are_rounded_to_numbers_of_the_format(seed: int, count: int) -> None:
    found, exact, ratio = rounding(seed, count)
    assert (found == found.astype(np.float32)).all()
    assert np.abs(found - exact).max() < 5 * spacing(np.abs(exact)).max()
    assert ratio <= 1 or count > 1  # the nearest is among what is tried


def test_the_rest_makes_up_for_a_literal_that_is_rounded() -> None:
    assert np.median([rounding(seed, 4)[2] for seed in range(30)]) < 0.8
