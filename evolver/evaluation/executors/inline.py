"""An executor without processes, for tests and for measuring the engine by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from evolver.errors import CandidateError
from evolver.tasks.objective import Objective
from evolver.types import Evaluation, Job, Preflight, Program


@dataclass(frozen=True)
class InlineExecutor:
    """Judges programs by a trusted function of their text. It never runs code of a candidate.

    Attributes:
        measure: returns the metrics of a program, or raises a CandidateError.
        objective: turns metrics into objectives.
        slots: evaluations at once.
        delay: longest sleep before an answer, in seconds, so that answers come out of order; the
            job's seed chooses the length.
        probe: returns the fingerprint of a program, or raises a CandidateError if the program
            fails its pre-flight.
    """

    measure: Callable[[Program], Mapping[str, float]]
    objective: Objective
    slots: int = 2
    delay: float = 0.0
    probe: Callable[[Program], str] = lambda _program: ""

    async def evaluate(self, job: Job) -> Evaluation:
        """Judge one program."""
        if self.delay:
            await asyncio.sleep(Random(job.seed).uniform(0, self.delay))
        try:
            metrics = self.measure(job.program)
        except CandidateError as error:
            return Evaluation(
                "crashed", feedback=error.message, printed=error.printed, fault="candidate"
            )
        missed = self.objective.violations(metrics)
        if missed:
            return Evaluation(
                "rejected", metrics=metrics, feedback="; ".join(missed), fault="candidate"
            )
        return Evaluation("ok", metrics=metrics, objectives=self.objective.objectives(metrics))

    async def tune(self, job: Job) -> tuple[Program, Evaluation]:
        """Judge one program as it is."""
        return job.program, await self.evaluate(job)

    async def preflight(self, job: Job) -> Preflight:
        """Probe one program."""
        try:
            return Preflight(fingerprint="" if job.tune is not None else self.probe(job.program))
        except CandidateError as error:
            return Preflight(str(error))

    async def close(self) -> None:
        """Nothing to end."""
