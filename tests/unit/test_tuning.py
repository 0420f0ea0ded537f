"""Fitting literals: by least squares where there are residuals, by evolution where not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from fake_candidate import InProcessCandidate

from evolver.bundled import bundled
from evolver.errors import CandidateCrashed
from evolver.evaluation import tuning
from evolver.scoring.straightline import GUEST
from evolver.tasks.plugins import load_module
from evolver.types import Evaluation, Tune

FOLDER = bundled("evaluators") / "exp2"
exp2 = load_module(FOLDER)
EVALUATOR = exp2.Evaluator()


def fitted(source: str, *, seed: int = 0, tune: Tune | None = None) -> tuple[float, float]:
    """Fit a program for 2**x; return its operations and its error with the fitted literals."""
    candidate = InProcessCandidate(source, guest=GUEST)
    fit = tuning.fit(EVALUATOR.residuals, candidate, tune or Tune(), seed)
    assert fit is not None
    assert fit.evaluations == 0
    metrics = EVALUATOR.evaluate(candidate.at(fit.parameters)).metrics
    return metrics["operations"], metrics["error"]


# --- least squares on 2**x ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "operations", "error"),
    [
        ("def exp2(x):\n    return 1.0 + x * (1.0 + x * (1.0 + x * 1.0))\n", 6, 7.4781408e-5),
        ("def exp2(x):\n    return 1.0 + 1.0 / (1.0 / x + 1.0)\n", 4, 8.6723949e-4),
        ("def exp2(x):\n    u = x + 1.0 / x + 1.0\n    return 1.0 + 1.0 / u\n", 5, 4.35e-6),
        (
            "def exp2(x):\n    return 1.0 + 1.0 / (x + 1.0 + 1.0 / (x + 1.0))\n",
            6,
            4.3403437e-7,
        ),
        (
            "def exp2(x):\n    u = 1.0 + 1.0 / (x + 1.0 + 1.0 / (x + 1.0))\n    return u * u\n",
            7,
            2.7127189e-8,
        ),
    ],
)
def test_classical_forms_are_fitted_from_nothing(
    source: str, operations: int, error: float
) -> None:
    reached = [fitted(source, seed=seed) for seed in range(3)]
    assert {count for count, _ in reached} == {operations}
    assert min(size for _, size in reached) < 1.002 * error


PUBLISHED = """
def exp2(x):
    u = 5783.4916210 / x + x
    v = 501.1013639 / (15141.7231044 / u + -250.5506819 + u) - -1.0
    v = v * v
    v = v * v
    return v * v
"""
NESTED = """
def exp2(x):
    u = 5783.4916210 / x + x
    v = 501.1013639 / (15141.7231044 / u + -250.5506819 + u) - -1.0
    v = v * v
    return v * v
"""


def test_the_published_form_is_refitted_beyond_its_bound() -> None:
    operations, error = fitted(PUBLISHED)
    assert operations == 10
    assert error < 4.94e-15  # with untied constants it is under half of that


def test_the_hand_made_form_is_fitted_to_its_optimum() -> None:
    operations, error = fitted(
        """
def exp2(x):
    s = x * x
    w = 43.28 - 27745.69 / (s + 778.81 - 8769.60 / (s + 95.36))
    return (w + x) / (w - x)
"""
    )
    assert operations == 10
    assert error < 1.05 * 1.723404e-15


@pytest.mark.parametrize(("squarings", "error"), [(0, 6e-10), (1, 9e-12), (2, 1.5e-13)])
def test_literals_jump_together_when_an_outer_square_comes_or_goes(
    squarings: int, error: float
) -> None:
    lines = PUBLISHED.strip().splitlines()[:3] + ["    v = v * v"] * squarings + ["    return v"]
    operations, reached = fitted("\n".join(lines) + "\n", tune=Tune(starts=4))
    assert operations == 7 + squarings
    assert reached < error


def test_a_fit_is_a_function_of_its_seed() -> None:
    source = "def exp2(x):\n    return 1.0 + 1.0 / (x + 1.0 + 1.0 / (x + 1.0))\n"
    candidate = InProcessCandidate(source, guest=GUEST)
    first, second = (
        tuning.fit(EVALUATOR.residuals, candidate, Tune(starts=8), 5) for _ in range(2)
    )
    assert first == second


def test_carried_vectors_are_tried() -> None:
    source = "def exp2(x):\n    return 1.0 + 1.0 / (x + 1.0 + 1.0 / (x + 1.0))\n"
    good = (1.4142135623730951, 24.54463479, -9.17783885, 25.03910671, -0.5)
    wrong_length = (1.0, 2.0)
    tune = Tune(starts=3, carried=(good, wrong_length))
    assert fitted(source, tune=tune)[1] < 1.001 * 4.3403437e-7


def test_there_is_nothing_to_fit_without_literals() -> None:
    candidate = InProcessCandidate("def exp2(x):\n    return x + 1\n", guest=GUEST)
    assert tuning.fit(EVALUATOR.residuals, candidate, Tune(), 0) is None


def test_a_program_beyond_the_limit_is_not_fitted() -> None:
    source = "def exp2(x):\n    return 0.5 * x * x + 0.25 * x\n"
    candidate = InProcessCandidate(source, guest=GUEST)
    assert tuning.fit(exp2.Evaluator(fit_up_to=3).residuals, candidate, Tune(), 0) is None
    assert (
        tuning.fit(exp2.Evaluator(fit_up_to=4).residuals, candidate, Tune(starts=2), 0) is not None
    )


def test_a_form_that_is_finite_nowhere_is_not_fitted() -> None:
    source = "def exp2(x):\n    return 1.0 / (x - x) + 0.5\n"
    candidate = InProcessCandidate(source, guest=GUEST)
    assert tuning.fit(EVALUATOR.residuals, candidate, Tune(), 0) is None


def test_a_literal_without_effect_does_no_harm() -> None:
    source = "def exp2(x):\n    y = 3.0 * x\n    return 1.0 + x * (1.0 + 1.0 * x) + 0.0 * (y - y)\n"
    assert fitted(source)[1] < 1.8e-3


def test_a_program_that_branches_on_a_literal_is_the_candidates_fault() -> None:
    source = "def exp2(x):\n    return x + 1.0 if 0.5 < 1.0 else x\n"
    candidate = InProcessCandidate(source, guest=GUEST)
    with pytest.raises(CandidateCrashed, match="a comparison"):
        tuning.fit(EVALUATOR.residuals, candidate, Tune(), 0)


# --- least squares in general ---------------------------------------------------------------------


@dataclass
class Exponential:
    """a * exp(b * t) at some points; nothing but residuals. Counts its calls."""

    wanted: tuple[float, float] = (2.5, -1.3)
    calls: list[int] = field(default_factory=list)

    def __call__(self, parameters: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        self.calls.append(len(parameters))
        t = np.linspace(0, 2, 9)
        a, b = self.wanted
        model = parameters[:, :1] * np.exp(parameters[:, 1:] * t)
        return model - a * np.exp(b * t)


def test_residuals_alone_are_enough() -> None:
    residuals = Exponential()
    found = tuning.least_squares(
        residuals, np.array([1.0, 1.0]), Tune(starts=12), np.random.default_rng(0)
    )
    assert found == pytest.approx([2.5, -1.3], rel=1e-6)
    assert residuals.calls[0] == 36  # all starts, and a difference for each literal, in one batch


def test_finite_differences_are_the_slopes() -> None:
    residuals = exp2.Evaluator().residuals(
        InProcessCandidate(PUBLISHED.replace("-1.0", "-1.01"), guest=GUEST)
    )
    values, exact = residuals.linearize(residuals.own[None])
    plain: Callable[..., Any] = lambda parameters: residuals(parameters)  # noqa: E731
    again, estimated = tuning.linearized(plain, residuals.own[None])
    assert np.array_equal(values, again)
    assert estimated == pytest.approx(exact, rel=1e-3, abs=1e-6)


def test_lost_starts_do_not_disturb_the_others() -> None:
    def residuals(parameters: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        with np.errstate(all="ignore"):
            return np.sqrt(parameters) - 2.0  # NaN for negative ones

    starts = np.array([[-1.0], [np.inf], [np.nan], [1.0], [-5.0]])
    vectors, costs = tuning.levenberg_marquardt(residuals, starts)
    assert vectors[0] == pytest.approx([4.0])
    assert costs[0] == pytest.approx(0.0, abs=1e-12)


# --- evolution ------------------------------------------------------------------------------------

OWN = (0.3, -2.0)


@dataclass
class Judge:
    """Scores by distance from (1, -3); fails on negative first literals. Counts its calls."""

    objectives: int = 1
    seen: list[tuple[float, ...]] = field(default_factory=list)

    def __call__(self, literals: Sequence[float]) -> Evaluation:
        self.seen.append(tuple(literals))
        a, b = literals
        if a < 0:
            return Evaluation(status="crashed")
        score = -((a - 1) ** 2 + (b + 3) ** 2) - 1.0
        return Evaluation(status="ok", objectives=(score,) * self.objectives)


@pytest.mark.parametrize("objectives", [1, 2])
def test_evolution_fits_within_its_limit(objectives: int) -> None:
    judge = Judge(objectives)
    fit = tuning.evolve(OWN, Tune(limit=150), 1, judge)
    assert fit is not None
    assert fit.evaluations == len(judge.seen) <= 150
    assert fit.parameters == pytest.approx((1.0, -3.0), abs=0.05)
    assert fit.evaluation is not None
    assert fit.evaluation.objectives is not None
    assert fit.evaluation.objectives[0] == pytest.approx(-1.0, abs=0.01)


def test_evolution_is_a_function_of_its_seed() -> None:
    fits = [tuning.evolve(OWN, Tune(limit=40), seed, Judge()) for seed in (7, 7, 8)]
    assert fits[0] == fits[1]
    assert fits[0] != fits[2]


@pytest.mark.parametrize("limit", [1, 2, 9])
def test_evolution_never_overspends(limit: int) -> None:
    judge = Judge()
    fit = tuning.evolve(OWN, Tune(limit=limit), 1, judge)
    assert fit is not None
    assert fit.evaluations == len(judge.seen) == limit


def test_evolution_of_a_single_literal() -> None:
    def judge(literals: Sequence[float]) -> Evaluation:
        return Evaluation(status="ok", objectives=(-((literals[0] - 2.0) ** 2) - 1.0,))

    fit = tuning.evolve([1.0], Tune(limit=120), 3, judge)
    assert fit is not None
    assert fit.parameters == pytest.approx((2.0,), abs=0.02)


def test_evolution_returns_the_childs_own_verdict_where_nothing_better_is_found() -> None:
    fit = tuning.evolve((-1.0, 1.0), Tune(limit=1), 0, Judge())
    assert fit is not None
    assert fit.parameters == (-1.0, 1.0)
    assert fit.evaluation is not None
    assert fit.evaluation.status == "crashed"


def test_evolution_gives_up_on_literals_that_time_out() -> None:
    seen = []

    def judge(literals: Sequence[float]) -> Evaluation:
        seen.append(literals)
        if len(seen) == 1:
            return Evaluation("ok", objectives=(1.0,))
        return Evaluation("timeout", fault="candidate")

    fit = tuning.evolve([1.0, 2.0], Tune(limit=100), 0, judge)
    assert fit is not None
    assert fit.evaluations == len(seen) == 4
    assert fit.parameters == (1.0, 2.0)
    assert fit.evaluation == Evaluation("ok", objectives=(1.0,))
