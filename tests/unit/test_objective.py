"""Objectives: signs, conditions, dominance, hypervolume against a brute-force count."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolver.errors import EvaluatorError, UsageError
from evolver.tasks.objective import Condition, Objective, dominates, front, hypervolume

points = st.lists(
    st.tuples(*[st.integers(0, 6).map(float)] * 2) | st.tuples(*[st.integers(0, 6).map(float)] * 2),
    max_size=12,
)
points3 = st.lists(st.tuples(*[st.integers(0, 5).map(float)] * 3), max_size=9)


def cells(vectors, dimensions, top):
    """The volume above the origin, counted cell by cell."""
    return sum(
        any(all(corner < value for corner, value in zip(cell, v, strict=True)) for v in vectors)
        for cell in itertools.product(range(top), repeat=dimensions)
    )


@given(points)
def test_hypervolume_of_two_objectives_counts_the_dominated_cells(vectors):
    assert hypervolume(vectors, (0.0, 0.0)) == cells(vectors, 2, 6)


@given(points3)
def test_hypervolume_of_three_objectives_counts_the_dominated_cells(vectors):
    assert hypervolume(vectors, (0.0, 0.0, 0.0)) == cells(vectors, 3, 5)


@given(points3)
def test_the_front_is_what_nothing_dominates(vectors):
    kept = [vectors[i] for i in front(vectors)]
    assert len(set(kept)) == len(kept)
    assert set(kept) == {v for v in vectors if not any(dominates(w, v) for w in vectors)}


def test_objectives_are_signed_so_that_higher_is_better():
    objective = Objective(("digits",), ("operations",), reference={"digits": 0, "operations": 20})
    assert objective.objectives({"digits": 3.0, "operations": 5}) == (3.0, -5.0)
    assert objective.score([(3.0, -5.0), (4.0, -6.0)]) == pytest.approx(3 * 15 + 1 * 14)
    assert objective.score([]) is None


def test_one_objective_scores_its_best_value():
    assert Objective(minimize=("cost",)).score([(-3.0,), (-2.0,)]) == -2.0


def test_a_target_with_the_sign_of_a_score_is_doubted():
    error = Objective(minimize=("error",))
    said = error.target_hint(-0.05, 0.5672739)
    assert said == (
        "target -0.05 is a value of error, which is minimized and is 0.56727 now; "
        "if you mean 0.05, give --target 0.05"
    )
    assert error.target_hint(0.05, 0.5) == error.target_hint(-3.0, -2.0) == ""
    assert Objective(maximize=("gain",)).target_hint(-0.05, 0.5) == ""
    both = Objective(minimize=("error", "size"), reference={"error": 1.0, "size": 9.0})
    assert both.target_hint(-0.05, 0.5) == ""


def test_a_missing_metric_is_the_evaluators_fault_and_names_what_came():
    with pytest.raises(EvaluatorError, match=r"no metric 'digits'.*returned: error"):
        Objective(("digits",)).objectives({"error": 1.0})


def test_several_objectives_need_a_reference_point():
    with pytest.raises(UsageError, match="reference"):
        Objective(("a",), ("b",), reference={"a": 0.0})


@pytest.mark.parametrize("text", ["12", "<= twelve", "=> 3", "", "<= "])
def test_a_condition_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="condition"):
        Condition.parse("operations", text)


def test_conditions_hold_or_are_named():
    objective = Objective(("a",), require=(Condition.parse("operations", "<= 12"),))
    assert objective.violations({"a": 1.0, "operations": 12.0}) == []
    assert objective.violations({"a": 1.0, "operations": 13.0}) == [
        "required operations <= 12, got 13.0"
    ]
    assert objective.violations({"a": 1.0}) == ["required operations <= 12, got nothing"]
    assert Condition.parse_whole("error < 1e-6").holds({"error": 1e-7})


@pytest.mark.parametrize("text", ["<= nan", "== NaN", "< -nan"])
def test_a_condition_on_nan_holds_for_nothing_and_is_refused(text):
    with pytest.raises(UsageError, match="no condition"):
        Condition.parse("size", text)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ({"error": 1.0, "sizes": 9.0, "size": 9.0}, "names 'sizes'.*did you mean 'size'"),
        ({"error": 1.0, "size": math.inf}, "size is inf"),
        ({"error": math.nan, "size": 9.0}, "error is nan"),
        ({"error": 1.0}, "add size"),
    ],
)
def test_a_reference_is_a_finite_value_of_each_objective_and_of_nothing_else(reference, said):
    with pytest.raises(UsageError, match=said):
        Objective(minimize=("error", "size"), reference=reference)
