"""How far evaluations are apart, and how much of a run's gain that explains."""

from __future__ import annotations

import asyncio
import statistics
from random import Random

import pytest
from number_runs import OBJECTIVE, SEED, measure

from evolver.checks.spread import INPUTS, Spread, repeat
from evolver.evaluation.executors.inline import InlineExecutor
from evolver.types import Evaluation, Job, Program


def evaluations(values: list[float]) -> list[Evaluation]:
    return [Evaluation("ok", {"length": value}, objectives=(-value,)) for value in values]


class BySeed(InlineExecutor):
    """An executor whose scores follow from the secret inputs alone."""

    async def evaluate(self, job: Job) -> Evaluation:
        value = Random(job.seed).random()
        return Evaluation("ok", {"value": value}, objectives=(value,))


@pytest.mark.parametrize("runs", [100, 1000])
def test_the_luckiest_of_a_run_is_as_far_off_as_is_said(runs: int) -> None:
    rng = Random(7)
    spread = Spread.of(evaluations([rng.gauss(50, 2) for _ in range(4000)]), ["length"])
    luckiest = [1 - min(rng.gauss(50, 2) for _ in range(runs)) / 50 for _ in range(100)]
    assert spread.luck(runs) == pytest.approx(statistics.fmean(luckiest), rel=0.1)


def test_exact_repetitions_leave_nothing_to_luck() -> None:
    spread = Spread.of(evaluations([3.0] * 20), ["length"])
    assert (spread.largest, spread.deviation) == ({"length": 0.0}, {"length": 0.0})
    assert spread.luck(10_000) == 0.0


def test_failures_do_not_count_and_one_value_says_nothing() -> None:
    failed = Evaluation("crashed", feedback="no")
    spread = Spread.of([failed, *evaluations([1.0])], ["length"])
    assert (spread.evaluations, spread.largest, spread.luck(100)) == (1, {}, 0.0)
    assert Spread.of([failed, *evaluations([0.0, 0.0])], ["length"]).largest == {"length": 0.0}


def test_a_program_is_judged_on_twenty_secret_inputs() -> None:
    said: list[str] = []
    executor = BySeed(measure, OBJECTIVE, 3)
    found = asyncio.run(repeat(executor, Program(0, SEED), 5, said.append))
    assert len(found.others) == INPUTS
    assert len({e.objectives for e in found.others}) == INPUTS
    assert {e.objectives for e in found.same} == {found.first.objectives}
    assert said[0] == "judging the seed"
    assert any(f"of {INPUTS}" in one for one in said)
