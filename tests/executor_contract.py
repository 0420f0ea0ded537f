"""One suite for every executor: each is made to judge programs by the number they hold."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from evolver.ports import Executor
from evolver.tasks.objective import Condition, Objective
from evolver.types import Evaluation, Job, Preflight, Program, Tune

# The metric v is the number that a program returns; the objective is to raise it up to 10.
OBJECTIVE = Objective(maximize=("v",), require=(Condition("v", "<=", 10.0),))


def job(value: float | str, number: int = 1) -> Job:
    """Return a program that returns a value, as a job; what is no number crashes."""
    source = f"def f():\n    return {value}\n"
    return Job(Program(number, {"p.py": source.encode()}), seed=number)


def text_job(source: str, tune: Tune | None = None) -> Job:
    """Return any program as a job."""
    return Job(Program(1, {"p.py": source.encode()}), seed=1, tune=tune)


class ExecutorContract(ABC):
    """What every executor does.

    Its pre-flights import the program, and take the value of its `f` for its fingerprint.
    """

    @abstractmethod
    async def make(self, slots: int) -> Executor:
        """Return an executor that judges by `OBJECTIVE`, started."""

    @asynccontextmanager
    async def started(self, slots: int = 2) -> AsyncIterator[Executor]:
        executor = await self.make(slots)
        try:
            yield executor
        finally:
            await executor.close()

    def judged(self, *jobs: Job) -> list[Evaluation]:
        """Judge programs at once by one executor."""

        async def run() -> list[Evaluation]:
            async with self.started() as executor:
                return await asyncio.gather(*map(executor.evaluate, jobs))

        return asyncio.run(run())

    def test_bad_programs_are_verdicts_like_good_ones(self) -> None:
        good, missed, failing = self.judged(job(1.5), job(11.0), job("None.nothing"))
        assert (good.status, good.metrics, good.objectives) == ("ok", {"v": 1.5}, (1.5,))
        assert (good.fault, good.evaluations) == ("", 1)
        assert (missed.status, missed.metrics) == ("rejected", {"v": 11.0})
        assert (missed.fault, missed.objectives) == ("candidate", None)
        assert "v <= 10" in missed.feedback
        assert (failing.status, failing.fault, failing.objectives) == ("crashed", "candidate", None)
        assert "nothing" in failing.feedback

    def test_tuning_returns_the_program_with_its_verdict(self) -> None:
        async def run() -> tuple[Program, Evaluation]:
            async with self.started() as executor:
                return await executor.tune(replace(job("3"), tune=Tune()))  # it has no literals

        program, found = asyncio.run(run())
        assert program == job("3").program
        assert (found.status, found.metrics) == ("ok", {"v": 3.0})

    def preflights(self, *jobs: Job) -> list[Preflight]:
        """Make the pre-flights of programs at once."""

        async def run() -> list[Preflight]:
            async with self.started() as executor:
                return await asyncio.gather(*map(executor.preflight, jobs))

        return asyncio.run(run())

    def test_a_preflight_tells_programs_apart_by_what_they_compute(self) -> None:
        one, same, other, tuned = self.preflights(
            job(1.5), job("0.5 + 1.0"), job(2.5), replace(job(1.5), tune=Tune())
        )
        assert one.complaint == one.fault == ""
        assert one.fingerprint
        assert one.fingerprint == same.fingerprint != other.fingerprint
        assert tuned.fingerprint == ""  # its literals are about to change

    def test_a_preflight_complains_of_what_does_not_import(self) -> None:
        (found,) = self.preflights(text_job("import nowhere_to_be_found\n"))
        assert "nowhere_to_be_found" in found.complaint
        assert (found.fingerprint, found.fault) == ("", "")

    def test_each_job_gets_its_own_answer(self) -> None:
        jobs = [job(float(number), number) for number in range(8)]  # on two slots
        assert [one.metrics["v"] for one in self.judged(*jobs)] == [*map(float, range(8))]

    def test_a_cancelled_job_gives_its_slot_back(self) -> None:
        async def run() -> Evaluation:
            async with self.started(slots=1) as executor:
                cancelled = asyncio.ensure_future(executor.evaluate(job(1.0)))
                await asyncio.sleep(0.01)
                cancelled.cancel()
                await asyncio.wait([cancelled])
                return await executor.evaluate(job(2.0))

        assert asyncio.run(run()).metrics == {"v": 2.0}

    def test_it_can_be_closed_twice(self) -> None:
        async def run() -> None:
            async with self.started() as executor:
                await executor.evaluate(job(1.0))
                await executor.close()

        asyncio.run(run())
