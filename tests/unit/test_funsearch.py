"""Cap sets and online bin packing: what is measured, and what is caught."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from fake_candidate import InProcessCandidate

from evolver.bundled import bundled
from evolver.errors import CandidateOutputError
from evolver.tasks.plugins import load_module

PRIORITIES = """
import itertools

def priorities(n):
    return [{} for v in itertools.product(range(3), repeat=n)]
"""


def cap_set(expression: str, dimensions: int) -> float:
    evaluator = load_module(bundled("evaluators") / "cap_set.py").Evaluator(dimensions=dimensions)
    candidate = InProcessCandidate(PRIORITIES.format(expression))
    size: float = evaluator.evaluate(candidate).metrics["size"]
    return size


def greedy(values: list[float], dimensions: int) -> list[tuple[int, ...]]:
    """Build the set by looking at every pair, as the definition says."""
    vectors = list(product(range(3), repeat=dimensions))
    kept: list[tuple[int, ...]] = []
    for index in sorted(range(len(vectors)), key=lambda i: -values[i]):
        vector = vectors[index]
        lines = (
            all((a + b + c) % 3 == 0 for a, b, c in zip(one, other, vector, strict=True))
            for one, other in combinations(kept, 2)
        )
        if not any(lines):
            kept.append(vector)
    return kept


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
@pytest.mark.parametrize("expression", ["0.0", "float(sum(v))", "(v[0] * 7919 + sum(v) * 31) % 13"])
def test_the_size_is_that_of_the_greedy_set(expression: str, dimensions: int) -> None:
    values = [float(eval(expression, {"v": v})) for v in product(range(3), repeat=dimensions)]
    assert cap_set(expression, dimensions) == len(greedy(values, dimensions))


def test_equal_priorities_make_the_set_without_a_digit() -> None:
    assert [cap_set("0.0", n) for n in (1, 2, 3)] == [2, 4, 8]


@pytest.mark.parametrize("expression", ["None", "float('nan')", "True", "[1.0]"])
def test_priorities_that_are_none_are_refused(expression: str) -> None:
    with pytest.raises(CandidateOutputError):
        cap_set(expression, 2)


# --- online bin packing ---------------------------------------------------------------------------


def packing() -> Any:
    return load_module(bundled("evaluators") / "bin_packing")


def judge(source: str, **settings: Any) -> Any:
    settings = {"items": 200, "instances": 2, "held_out_items": 300, **settings}
    guest = bundled("evaluators") / "bin_packing" / "guest.py"
    return packing().Evaluator(**settings).evaluate(InProcessCandidate(source, guest=guest, seed=4))


@pytest.mark.parametrize("kind", ["weibull", "or"])
def test_best_fit_is_best_fit(kind: str) -> None:
    result = judge("def priority(item, room):\n    return -(room - item)\n", kind=kind)
    assert result.metrics["saved"] == 0.0
    assert 0 < result.metrics["excess"] < 20
    assert 0 < result.private["held_out_excess"] < 20


def test_a_worse_heuristic_scores_worse() -> None:
    worst = judge("def priority(item, room):\n    return room - item\n")
    assert worst.metrics["saved"] < -1


def test_best_fit_by_hand() -> None:
    assert packing().best_fit_of(np.array([60, 50, 30, 45, 10]), 100) == [0, 1, 0, 1, 0]


PEEKING = """
import sys

def priority(item, room):
    frame = sys._getframe(1)
    last = int(frame.f_locals["items"][-1])
    return room * (1 if last % 2 else -1)
"""


def test_looking_at_what_is_to_come_is_caught() -> None:
    caught = 0
    for more in range(12):  # each time it escapes where both ends are alike: half of the times
        try:
            judge(PEEKING, items=200 + more)
        except CandidateOutputError as error:
            assert "later items" in str(error)  # noqa: PT017 - it is one of many
            caught += 1
    assert caught


@pytest.mark.parametrize(
    ("bins", "reason"),
    [
        ("[0] * len(items)", "has no room"),
        ("list(range(len(items) - 1))", "shape"),
        ("[0.5] * len(items)", "integers"),
    ],
)
def test_a_packing_that_is_none_is_refused(bins: str, reason: str) -> None:
    class Forging(InProcessCandidate):
        def call(self, function: str, *args: Any, timeout: Any = None, **kwargs: Any) -> Any:
            return eval(bins, {"items": args[1]})

    with pytest.raises(CandidateOutputError, match=reason):
        packing().Evaluator().evaluate(Forging("x = 1\n"))
