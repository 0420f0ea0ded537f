"""Jobs on machines: what is measured, and what is caught."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_candidate import InProcessCandidate

from evolver.bundled import bundled
from evolver.errors import CandidateOutputError
from evolver.tasks.plugins import load_module

FOLDER = bundled("evaluators") / "cluster_scheduling"
MODULE = load_module(FOLDER)
SMALL = {"jobs": 200, "machines": 6, "traces": 2, "held_out": 1}
BEST_FIT = "def score(job, free, total):\n    return -((free - job) / total).sum(axis=1)\n"
SPREADING = "def score(job, free, total):\n    return ((free - job) / total).sum(axis=1)\n"


def judge(source: str, *, seed: int = 4, **settings: Any) -> Any:
    evaluator = MODULE.Evaluator(**{**SMALL, **settings})
    return evaluator.evaluate(InProcessCandidate(source, guest=FOLDER / "guest.py", seed=seed))


def test_best_fit_gains_nothing_on_best_fit() -> None:
    result = judge(BEST_FIT)
    assert result.metrics["gained"] == 0.0
    assert result.private["held_out_gained"] == 0.0
    assert 50 < result.metrics["placed"] < 100
    assert 0 < result.metrics["stranded"] < 50


def test_spreading_jobs_strands_more_and_places_less() -> None:
    spread, full = judge(SPREADING, jobs=600), judge(BEST_FIT, jobs=600)
    assert spread.metrics["gained"] < -1
    assert spread.metrics["stranded"] > full.metrics["stranded"]


def test_the_score_is_the_same_for_each_evaluation_and_another_for_other_traces() -> None:
    assert judge(SPREADING, seed=1).metrics == judge(SPREADING, seed=2).metrics
    assert judge(SPREADING).metrics != judge(SPREADING, trace=2).metrics


def test_work_and_what_is_stranded_by_hand() -> None:
    trace = MODULE.Trace(
        jobs=np.array([[4, 1], [1, 1], [1, 1], [4, 6]]),
        durations=np.array([2, 1, 9, 1]),
        capacities=np.array([[4, 8]]),
    )
    machines = MODULE.best_fit_of(trace)
    assert machines == [0, -1, 0, -1]  # the first has all CPU, and leaves as the third comes
    work = [4 / 4 * 2 + 1 / 8 * 2, 1 / 4 + 1 / 8, 9 / 4 + 9 / 8, 4 / 4 + 6 / 8]
    assert MODULE.work_of(trace, machines) == pytest.approx(100 * (work[0] + work[2]) / sum(work))
    stranded = np.mean([(0 / 4 + 7 / 8) / 2, (3 / 4 + 7 / 8) / 2])
    assert MODULE.stranded_of(trace, machines) == pytest.approx(100 * stranded)


PEEKING = """
import sys
import numpy as np

def score(job, free, total):
    seen = sys._getframe(1).f_locals
    rng = np.random.default_rng(int({}))
    return rng.random(len(free))
"""


@pytest.mark.parametrize("what", ["seen['jobs'][-1].sum()", "seen['durations'].sum()"])
def test_looking_at_what_is_to_come_is_caught(what: str) -> None:
    with pytest.raises(CandidateOutputError, match="later jobs"):
        judge(PEEKING.format(what))


def test_chance_is_caught() -> None:
    source = (
        "import random\n\ndef score(job, free, total):\n    return [random.random() for _ in free]"
    )
    with pytest.raises(CandidateOutputError, match="chance"):
        judge(source)


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (lambda count: [0] * count, "has no room"),
        (lambda count: [99] * count, "has no room"),
        (lambda count: [-2] * count, "has no room"),
        (lambda count: [-1] * count, "was lost"),
        (lambda count: [0] * (count - 1), "shape"),
        (lambda count: [0.5] * count, "integers"),
    ],
)
def test_a_placement_that_is_none_is_refused(forge: Callable[[int], Any], reason: str) -> None:
    class Forging(InProcessCandidate):
        def call(self, function: str, *args: Any, timeout: Any = None, **kwargs: Any) -> Any:
            return forge(len(args[1]))

    with pytest.raises(CandidateOutputError, match=reason):
        MODULE.Evaluator(**SMALL).evaluate(Forging("x = 1\n"))
