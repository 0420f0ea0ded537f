"""Replay a run from its facts."""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import replace
from pathlib import Path

from evolver.routing.endpoint import Endpoint
from evolver.runs import config
from evolver.runs.assemble import make_endpoints, make_executor, make_operators
from evolver.runs.background import in_thread, unless_interrupted
from evolver.runs.config import Configuration
from evolver.runs.recorded import PICKLE, TASK
from evolver.runs.run import Run
from evolver.runs.sessions import make_parts
from evolver.search.playback import Playback, watched
from evolver.search.record import Record
from evolver.search.replay import Difference, Replay, walk_again
from evolver.search.steps import Steps
from evolver.storage.copies import recorded_answers
from evolver.storage.facts import Session
from evolver.storage.reader import Reader
from evolver.storage.store import Store
from evolver.tasks.settings import BudgetSection
from evolver.tasks.task import assemble_task
from evolver.types import Evaluation

_ROUNDING = 1e-9  # relative: how far a score on another machine may differ by rounding


def replay(directory: Path, *, re_evaluate: bool = False) -> Replay:
    """Repeat a run from its facts, without a network, a model or an evaluator.

    Args:
        directory: of the run, which may still be at work.
        re_evaluate: also measure every program again, and compare.

    Raises:
        UsageError: there is no run, or its task or settings cannot be read.
        SandboxError: `re_evaluate` is set and this host cannot run candidates.
    """
    run = Run.open(directory)
    found = in_thread(lambda interrupted: unless_interrupted(_walked_again(run), interrupted))
    if re_evaluate:
        walked = found
        found = in_thread(
            lambda interrupted: unless_interrupted(_measured_again(walked, run), interrupted)
        )
    return found


async def _walked_again(run: Run) -> Replay:
    playback = Playback()
    with contextlib.ExitStack() as stack:
        recorded = stack.enter_context(contextlib.closing(Reader.snapshot(run.directory)))
        # A moment later than `recorded`, if the run is at work; the surplus is never asked for.
        database = stack.enter_context(contextlib.closing(recorded_answers(run.directory)))

        def steps_of(session: Session) -> Steps:
            configuration = _configuration_of(session, run)
            task = assemble_task(
                run.facts["task"], run.directory / TASK, configuration.task, is_recorded=True
            )
            endpoints = [Endpoint(one.name, playback, one.terms) for one in make_endpoints(task)]
            operators = watched(make_operators(task, has_model=bool(endpoints)), playback)
            store = Store(database, session.id)
            return Steps(make_parts(task, configuration, store, playback, operators, endpoints))

        found = await walk_again(Record(recorded), playback, steps_of)
        score = Run(run.directory, recorded).score
    if found.score == score:
        return found
    differs = Difference(None, "the best score", repr(score), repr(found.score))
    return replace(found, differences=(*found.differences, differs))


def _configuration_of(session: Session, run: Run) -> Configuration:
    """Return a session's configuration without its limits: a replay spends nothing."""
    if session.settings:
        configuration = config.decoded(session.settings, f"session {session.id} of {run.directory}")
    else:
        configuration = run.configuration.model_copy(update={"rules": 1})
    task = configuration.task.model_copy(update={"budget": BudgetSection()})
    return configuration.model_copy(update={"task": task})


async def _measured_again(found: Replay, run: Run) -> Replay:
    """Evaluate all programs again; report those that differ by more than the run's noise."""
    pickle = run.directory / PICKLE
    executor = make_executor(
        run.task,
        run.configuration.workers,
        pickled=pickle.read_bytes() if pickle.exists() else None,
    )
    try:
        await executor.start()
        again = await asyncio.gather(*(executor.evaluate(job) for job, _ in found.jobs))
    finally:
        await executor.close()
    noise = max(_ROUNDING, 2 * max(run.deviations.values(), default=0.0))
    differences = [
        Difference(job.program.id, "measured again", _verdict(old), _verdict(new))
        for (job, old), new in zip(found.jobs, again, strict=True)
        if not _agree(old, new, noise)
    ]
    return replace(
        found, differences=(*found.differences, *differences), noise=noise, measured=len(again)
    )


def _agree(old: Evaluation, new: Evaluation, noise: float) -> bool:
    if "evaluator" in (old.fault, new.fault):
        return old.fault == new.fault
    if old.objectives is None or new.objectives is None:
        return old.status == new.status
    return all(
        math.isclose(one, other, rel_tol=noise, abs_tol=1e-300)
        for one, other in zip(old.objectives, new.objectives, strict=True)
    )


def _verdict(evaluation: Evaluation) -> str:
    metrics = ", ".join(f"{name} {value!r}" for name, value in evaluation.metrics.items())
    return f"{evaluation.status} {metrics}".strip()
