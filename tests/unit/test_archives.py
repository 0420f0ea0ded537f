"""Archives keep what they promise, whatever arrives in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolver.search.archives import BestN, Pareto
from evolver.tasks.objective import dominates
from evolver.types import Elite, Evaluation, Program


def elite(number, *objectives):
    return Elite(Program(number, {}), Evaluation("ok", objectives=tuple(map(float, objectives))))


vectors = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=40)


@given(st.lists(st.integers(0, 20), max_size=40), st.integers(1, 10))
def test_best_n_keeps_the_n_best_and_of_equals_the_first(values, size):
    archive = BestN(size)
    for number, value in enumerate(values):
        archive.add(elite(number, value))
    wanted = sorted(range(len(values)), key=lambda i: (-values[i], i))[:size]
    assert [e.program.id for e in archive.elites()] == wanted


def test_an_immigrant_that_came_before_is_not_kept_twice():
    archive = BestN(5)
    assert archive.add(elite(1, 3.0))
    assert not archive.add(elite(1, 3.0))


@given(vectors, st.integers(1, 12))
def test_pareto_never_loses_the_front_to_what_it_dominates(arrivals, size):
    archive = Pareto(size)
    for number, vector in enumerate(arrivals):
        archive.add(elite(number, *vector))
    kept = [e.objectives for e in archive.elites()]
    assert len(kept) == len(set(kept)) <= size
    front = [e.objectives for e in archive.front()]
    assert not any(dominates(a, b) for a in kept for b in front)
    true_front = {v for v in arrivals if not any(dominates(w, v) for w in arrivals)}
    assert set(front) <= true_front
    if len(true_front) <= size:
        assert set(front) == true_front


@given(vectors)
def test_pareto_ranks_are_those_of_non_dominated_sorting(arrivals):
    archive = Pareto(100)
    for number, vector in enumerate(arrivals):
        archive.add(elite(number, *vector))
    left = set(arrivals)
    expected = []
    while left:
        rank = {v for v in left if not any(dominates(w, v) for w in left)}
        expected.extend(sorted(rank, reverse=True))
        left -= rank
    assert [e.objectives for e in archive.elites()] == expected


@pytest.mark.parametrize("make", [BestN, Pareto])
def test_add_says_whether_it_kept(make):
    archive = make(2)
    assert archive.add(elite(0, 1))
    assert archive.add(elite(1, 2))
    assert not archive.add(elite(2, 0))
    assert archive.add(elite(3, 3))
    assert [e.program.id for e in archive.elites()] == [3, 1]
