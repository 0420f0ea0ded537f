"""Sessions: a session works on a run, from its facts until something stops it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import io
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from evolver.errors import EvolverError, UsageError
from evolver.evaluation.messages import Ready
from evolver.operators.mix import Mix, Weighted
from evolver.ports import Executor, Tuning
from evolver.routing.endpoint import Endpoint, check_all
from evolver.routing.recording import Models
from evolver.runs import config
from evolver.runs.assemble import (
    make_choice,
    make_endpoints,
    make_executor,
    make_operators,
    make_population,
)
from evolver.runs.background import in_thread
from evolver.runs.config import Configuration, Options
from evolver.runs.recorded import LOG, PICKLE, TASK
from evolver.runs.run import Run
from evolver.sandboxes import protect_process
from evolver.search import gate
from evolver.search.engine import Engine
from evolver.search.gate import Gate
from evolver.search.parts import EngineSettings, RunParts
from evolver.search.plain_view import PlainView
from evolver.search.progress import Progress
from evolver.storage.store import Store
from evolver.tasks.objective import Objective
from evolver.tasks.task import Task, assemble_task
from evolver.types import Files
from evolver.wording import shell

Listener = Callable[[Progress], None]
Work = Callable[[Engine, Store, asyncio.Event], Coroutine[Any, Any, None]]

INTERRUPTED = "interrupted"


def resume(
    directory: Path,
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    listener: Listener | None = None,
) -> Run:
    """Go on with a run, with its own settings or with more budget.

    Raises:
        UsageError: there is no run, another process works on it, or an option is fixed.
        ModelError: the model does not answer; the run can be resumed again.
        SandboxError: this host cannot run candidates.
    """
    directory = directory.resolve()
    return go_on(directory, config.extend(config.read(directory), options), listener)


def confirm(directory: Path, asked: int | None = None, *, listener: Listener | None = None) -> Run:
    """Measure again what a run announces, or one of its programs, beside the seed.

    Args:
        directory: of the run, which no other process may be working on.
        asked: the program; None: what the run itself would measure at its end.
        listener: called with the progress, on another thread.

    Raises:
        UsageError: there is no run, or another process works on it.
        SandboxError: this host cannot run candidates.
    """
    directory = directory.resolve()
    configuration = config.read(directory)
    in_thread(
        lambda interrupted: _session(
            directory,
            configuration,
            listener,
            interrupted,
            partial(_until_confirmed, asked=asked),
            asks=False,
        )
    )
    return Run(directory)


def go_on(directory: Path, configuration: Configuration, listener: Listener | None = None) -> Run:
    """Work on a run with a configuration.

    Raises:
        UsageError, ModelError, SandboxError: as `resume`.
    """
    in_thread(
        lambda interrupted: _session(
            directory,
            configuration,
            listener,
            interrupted,
        )
    )
    return Run(directory)


async def _session(
    directory: Path,
    configuration: Configuration,
    listener: Listener | None,
    interrupted: asyncio.Event,
    work: Work | None = None,
    *,
    asks: bool = True,
) -> None:
    """Work on a run from its facts until it stops, in this thread's event loop.

    Args:
        directory: of the run.
        configuration: settings and options of the session.
        listener: called with the progress.
        interrupted: set at Ctrl-C.
        work: uses the engine; None: search and confirm.
        asks: whether models are asked.
    """
    protect_process()
    settings = config.encoded(configuration)
    with (
        _disk_errors(directory),
        contextlib.closing(Store.resume(directory, version("evolver"), settings)) as store,
    ):
        facts = store.facts()
        task = assemble_task(facts["task"], directory / TASK, configuration.task, is_recorded=True)
        pickle = directory / PICKLE
        pickled = pickle.read_bytes() if pickle.exists() else None
        endpoints = make_endpoints(task)
        operators = make_operators(task, has_model=bool(endpoints))
        with (
            (directory / LOG).open("ab", buffering=0) as log,
            _logged(log, listener, task.objective) as told,
        ):
            executor = make_executor(task, configuration.workers, pickled=pickled, log=log)
            try:
                for endpoint in endpoints if asks else ():
                    endpoint.keep_files_in(directory)
                if asks:
                    await check_all(endpoints)  # a wrong address fails now, not after its retries
                ready = await executor.start()
                config.write(directory, configuration)  # only now: these settings work
                store.note("references", ready.references)
                store.note("isolation", {"tier": ready.isolation, "notes": ready.notes})
                parts = make_parts(
                    task,
                    configuration,
                    store,
                    executor,
                    operators,
                    endpoints,
                    gate=_gate(task, store),
                    reserve=_reservations(operators, ready),
                    listener=told,
                    is_strict=ready.confirms,
                )
                engine = Engine(parts)
                await (work or _until_stopped)(engine, store, interrupted)
            finally:
                await executor.close()
                for endpoint in endpoints:
                    await endpoint.close()
        Run(directory).write_best()


def _gate(task: Task, store: Store) -> Gate | None:
    """Return the gate, unless the seed has been judged or the user skips it."""
    if "gate" in store.facts() or next(iter(store.outcomes()), None) is not None:
        return None
    return Gate(gate.bad_programs(task), task.objective, partial(store.note, "gate"))


@contextlib.contextmanager
def _logged(log: IO[bytes], listener: Listener | None, objective: Objective) -> Iterator[Listener]:
    """Write a run's progress into its log, which also has the workers' standard error."""
    text = io.TextIOWrapper(log, encoding="utf-8", write_through=True)
    with PlainView(text) as view:

        def tell(progress: Progress) -> None:
            if progress.target is not None and progress.best_value is not None:
                hint = objective.target_hint(progress.target, progress.best_value)
                progress = replace(progress, notes=(*progress.notes, *filter(None, [hint])))
            view(progress)
            if listener is not None:
                listener(progress)

        yield tell
    text.detach()


def make_parts(
    task: Task,
    configuration: Configuration,
    store: Store,
    executor: Executor,
    operators: Sequence[Weighted],
    endpoints: Sequence[Endpoint],
    *,
    gate: Gate | None = None,
    reserve: Mapping[str, int] | None = None,
    listener: Listener | None = None,
    is_strict: bool = False,
) -> RunParts:
    """Put together what a run is made of."""
    facts = store.facts()
    models = None
    if endpoints:
        models = Models(endpoints, make_choice(task, endpoints), store, configuration.budget)
    return RunParts(
        brief=task.brief,
        base=task.base,
        seeds=[_decoded(files) for files in facts["seeds"]],
        store=store,
        population=make_population(task),
        mix=Mix(list(operators), model_share=configuration.task.model_share),
        executor=executor,
        budget=configuration.budget,
        settings=EngineSettings(
            configuration.seed,
            configuration.in_flight,
            configuration.deterministic,
            facts["secret"],
            configuration.rules,
            configuration.task.evaluator.limit,
            configuration.task.objective.repeats,
            is_strict,
        ),
        models=models,
        gate=gate,
        reserve=reserve or {},
        listener=listener,
    )


def _watcher(engine: Engine, interrupted: asyncio.Event) -> asyncio.Future[None]:
    """Stop an engine at Ctrl-C."""

    async def watch() -> None:
        await interrupted.wait()
        engine.stop(INTERRUPTED)

    return asyncio.ensure_future(watch())


async def _until_confirmed(
    engine: Engine, store: Store, interrupted: asyncio.Event, *, asked: int | None
) -> None:
    """Confirm what a run announces, or one of its programs; keep its reason to have stopped."""
    reason = store.last_stop(before=1) or INTERRUPTED
    watcher = _watcher(engine, interrupted)
    try:
        if not await _is_done(engine.measure_again(asked), watcher):
            raise UsageError(
                "interrupted before the program was measured again; its measurements are kept"
            )
    finally:
        watcher.cancel()
        store.stop(reason)


async def _until_stopped(engine: Engine, store: Store, interrupted: asyncio.Event) -> None:
    """Run the engine, confirm the front, record why it stopped; Ctrl-C interrupts both."""
    watcher = _watcher(engine, interrupted)
    try:
        while True:
            # A killed session's open round comes first: its results count for what follows.
            if engine.is_confirming and not await _is_done(engine.confirm(), watcher):
                reason = INTERRUPTED
                break
            reason = await engine.run()
            if reason == INTERRUPTED:
                break
            if not await _is_done(engine.confirm(), watcher):
                reason = INTERRUPTED
                break
            if engine.reaches_target:
                reason = "target"
            if reason != "target" or engine.reaches_target:
                break
            engine.reopen()
        store.stop(reason)
    except EvolverError as error:
        store.stop(f"error: {error}")
        raise
    finally:
        watcher.cancel()


async def _is_done(work: Coroutine[Any, Any, None], interrupted: asyncio.Future[None]) -> bool:
    """Await measurements; False if they are interrupted, and left to the next session."""
    measuring = asyncio.ensure_future(work)
    either: set[asyncio.Future[Any]] = {measuring, interrupted}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if measuring.done():
        measuring.result()
        return True
    measuring.cancel()
    await asyncio.gather(measuring, return_exceptions=True)
    return False


def _reservations(operators: Sequence[Weighted], ready: Ready) -> dict[str, int]:
    """How many evaluations an attempt of each operator may spend: tuning without residuals."""
    if ready.fits_residuals:
        return {}
    return {
        entry.name: max(1, entry.operator.limit)
        for entry in operators
        if isinstance(entry.operator, Tuning) and entry.operator.tune
    }


@contextlib.contextmanager
def _disk_errors(directory: Path) -> Iterator[None]:
    """Explain a full, failing or read-only disk; what was committed before stays."""
    again = f"then go on by '{shell('evolver', 'resume', directory)}'"
    try:
        yield
    except sqlite3.OperationalError as error:
        raise UsageError(f"{directory} cannot be written: {error}; make room, {again}") from error
    except OSError as error:
        mend = {
            errno.ENOSPC: f"make room, {again}",
            errno.EDQUOT: f"make room, {again}",
            errno.EACCES: f"make it writable, {again}",
            errno.EROFS: "go on with a copy of it on a disk that can be written",
        }.get(error.errno or 0)
        if mend is None:
            raise
        raise UsageError(f"{directory} cannot be written: {error.strerror}; {mend}") from error


def _decoded(files: Mapping[str, str]) -> Files:
    return {path: base64.b64decode(content) for path, content in files.items()}
