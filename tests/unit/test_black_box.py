"""Black boxes: the functions, the two that optimisers are compared with, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_candidate import InProcessCandidate

from evolver.bundled import bundled
from evolver.errors import CandidateOutputError, UsageError
from evolver.tasks.plugins import load_module

MODULE = load_module(bundled("evaluators") / "black_box")
FUNCTIONS, Instance = MODULE.FUNCTIONS, MODULE.Instance

RANDOM = """
import numpy as np

def ask(points, values, left):
    return np.random.uniform(-5, 5, (50, points.shape[1]))
"""
ONE_FIFTH = """
import numpy as np

def ask(points, values, left):
    step, best, least = 1.0, np.zeros(points.shape[1]), np.inf
    for point, value in zip(points, values):
        step *= 1.5 if value < least else 1.5 ** -0.25
        if value < least:
            best, least = point, value
    if not len(points):
        return best[None]
    return np.clip(best + step * np.random.normal(size=(1, len(best))), -5, 5)
"""


def judge(source: str, *, seed: int = 1, **settings: Any) -> Any:
    np.random.seed(seed)
    settings = {"points": 120, "instances": 2, "dimensions": 3, **settings}
    return MODULE.Evaluator(**settings).evaluate(InProcessCandidate(source, seed=seed))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dimensions", [2, 5])
def test_a_function_is_least_at_its_shift(name: str, dimensions: int) -> None:
    rng = np.random.default_rng(1)
    instance = Instance.drawn(name, dimensions, rng)
    assert np.abs(instance.shift).max() <= 4
    assert np.allclose(instance.rotation @ instance.rotation.T, np.eye(dimensions))
    (least,) = instance(instance.shift[None])
    assert 0 <= least < 1e-9
    assert (instance(rng.uniform(-5, 5, (500, dimensions))) > 1e-6).all()


@pytest.mark.parametrize(
    ("name", "point", "value"),
    [
        ("sphere", [1, 2, 2], 9),
        ("ellipsoid", [1, 2, 3], 1 + 4e3 + 9e6),
        ("discus", [2, 1, 1], 4e6 + 2),
        ("bent_cigar", [2, 1, 1], 4 + 2e6),
        ("different_powers", [2, 1, 1], np.sqrt(4 + 1 + 1)),
        ("rosenbrock", [-1, 0, 0], 100 * 1 + 1 + 0),
        ("rastrigin", [0.5, 1, 0], 0.25 + 20 + 1),
    ],
)
def test_values_by_hand(name: str, point: list[float], value: float) -> None:
    assert FUNCTIONS[name](np.array([point], dtype=float))[0] == pytest.approx(value)


def test_random_search_is_no_better_than_random_search() -> None:
    result = judge(RANDOM, instances=4)
    assert abs(result.metrics["over_random"]) < 0.2
    assert result.metrics["gained"] < -0.3
    assert result.metrics["wins"] < 0.4


def test_adapting_the_step_gains() -> None:
    result = judge(ONE_FIFTH)
    assert result.metrics["gained"] > 0
    assert result.metrics["over_random"] > 1


def test_instances_are_new_for_each_evaluation() -> None:
    center = (
        "import numpy as np\n\ndef ask(points, values, left):\n    return np.zeros((left, 3))\n"
    )
    assert judge(center, seed=1).metrics == judge(center, seed=1).metrics
    assert judge(center, seed=1).metrics != judge(center, seed=2).metrics


def test_only_what_may_be_measured_is_measured() -> None:
    class Counting(InProcessCandidate):
        measured: list[int]

        def call(self, function: str, *args: Any, timeout: Any = None, **kwargs: Any) -> Any:
            points, values, left = args
            assert len(points) == len(values) == 10 - left
            self.measured.append(left)
            return np.zeros((7, 3))

    candidate = Counting("x = 1\n")
    candidate.measured = []
    evaluator = MODULE.Evaluator(points=10, instances=1, dimensions=3, functions=("sphere",))
    evaluator.evaluate(candidate)
    assert candidate.measured == [10, 3]


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("np.zeros((0, 3))", "shape"),
        ("np.zeros(3)", "shape"),
        ("np.zeros((2, 4))", "shape"),
        ("np.full((1, 3), 5.1)", "lie in"),
        ("np.full((1, 3), np.nan)", "finite"),
        ("None", "array"),
        ("[[True, True, True]]", "real numbers"),
    ],
)
def test_points_that_are_none_are_refused(returned: str, reason: str) -> None:
    source = f"import numpy as np\n\ndef ask(points, values, left):\n    return {returned}\n"
    with pytest.raises(CandidateOutputError, match=reason):
        judge(source)


def test_an_unknown_function_is_named() -> None:
    with pytest.raises(UsageError, match="'sfere'"):
        MODULE.Evaluator(functions=("sphere", "sfere"))
