"""How long the evaluation of a child may take: it follows what the seed's took."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from number_runs import OBJECTIVE, engine_on, measure

from evolver.evaluation.executors.inline import InlineExecutor
from evolver.storage.store import Store
from evolver.tasks.settings import EvaluatorSection
from evolver.types import Evaluation, Job


@pytest.mark.parametrize(
    ("seed", "timeout", "times_seed", "limit"),
    [
        (0.013, 10.0, 20.0, 0.5),
        (0.1, 10.0, 20.0, 2.0),
        (3.0, 10.0, 20.0, 10.0),
        (0.013, 0.2, 20.0, 0.2),
        (0.013, 10.0, 0.0, 10.0),
        (0.1, 10.0, 50.0, 5.0),
    ],
)
def test_the_limit_follows_the_seed(
    seed: float, timeout: float, times_seed: float, limit: float
) -> None:
    section = EvaluatorSection(use="x", timeout=timeout, times_seed=times_seed)
    assert section.limit(seed) == pytest.approx(limit)


@given(st.floats(0, 1e6), st.floats(0.01, 1e4), st.floats(0, 1e3))
def test_no_limit_is_above_the_timeout_or_below_half_a_second(
    seed: float, timeout: float, times_seed: float
) -> None:
    section = EvaluatorSection(use="x", timeout=timeout, times_seed=times_seed)
    assert min(0.5, timeout) <= section.limit(seed) <= timeout


class Noting(InlineExecutor):
    """An executor that keeps the jobs and says how long the seed took."""

    def __init__(self) -> None:
        super().__init__(measure, OBJECTIVE)
        self.jobs: list[Job] = []

    async def evaluate(self, job: Job) -> Evaluation:
        self.jobs.append(job)
        evaluation = await super().evaluate(job)
        return Evaluation(**{**vars(evaluation), "seconds": 0.1 if job.program.id == 0 else 3.0})

    def limits(self, *, of_seed: bool) -> set[float | None]:
        return {job.limit for job in self.jobs if (job.program.id == 0) is of_seed}


@pytest.mark.parametrize(
    ("rules", "deterministic", "limit"), [(2, False, 2.0), (1, False, None), (2, True, None)]
)
def test_children_have_the_limit_also_after_a_resume(
    tmp_path: Path, rules: int, deterministic: bool, limit: float | None
) -> None:
    settings = {"limit": EvaluatorSection(use="x").limit, "rules": rules}
    settings["deterministic"] = deterministic
    for total, opened in ((10, Store.create(tmp_path, {}, "test")), (20, None)):
        with closing(opened or Store.resume(tmp_path, "test")) as store:
            executor = Noting()
            engine = engine_on(store, evaluations=total, executor=executor, **settings)
            asyncio.run(engine.run())
        assert executor.limits(of_seed=False) == {limit}
        assert executor.limits(of_seed=True) <= {None}
