"""Fork a run: start another one from an earlier state of it."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import asdict, replace
from pathlib import Path

from evolver.errors import UsageError
from evolver.runs import config
from evolver.runs.assemble import make_endpoints, make_operators
from evolver.runs.assignments import assigned
from evolver.runs.config import Configuration, Options
from evolver.runs.founding import founded
from evolver.runs.recorded import PICKLE
from evolver.runs.run import Run
from evolver.runs.sessions import Listener, go_on
from evolver.search.record import left_behind
from evolver.storage.copies import write_fork
from evolver.storage.reader import Reader
from evolver.tasks.settings import TaskSettings
from evolver.tasks.task import Task, assemble_task, load_task


def fork(
    directory: Path,
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    at: int | None = None,
    task: Path | None = None,
    out: Path | None = None,
    listener: Listener | None = None,
) -> Run:
    """Start a run from an earlier state of another one, with other settings, and work on it.

    Attempts in flight then are left behind. Budgets include what the other run spent until then.

    Args:
        directory: of the other run, which may still be at work.
        options: what to change; all other settings stay, limits included.
        at: the number of finished attempts to keep; None: all.
        task: another task folder with the same program, to take the settings from; None: those of
            the run.
        out: directory of the new run; default: runs/<task>-<time>.
        listener: called with the progress, on another thread.

    Raises:
        UsageError: there is no run, it has fewer attempts, or an option is invalid.
        ModelError: the model does not answer; the new run can be resumed.
        SandboxError: this host cannot run candidates.
    """
    run = Run.open(directory)
    finished = len(run.outcomes) if at is None else at
    if not 1 <= finished <= len(run.outcomes):
        raise UsageError(
            f"{directory} has {len(run.outcomes)} finished attempts, not {finished}; "
            f"give --at a number from 1 to {len(run.outcomes)}"
        )
    source = run.task if task is None else load_task(task)
    settings = source.settings if task is not None else config.with_own_target(run.configuration)
    source = assigned(replace(source, settings=settings), options.set or ())
    source = _same_program(source, run.task)
    configuration = config.resolve(source.settings, _inherited(options, run.configuration))
    source = assemble_task(source.name, source.root, configuration.task)
    make_operators(source, has_model=bool(make_endpoints(source)))
    with contextlib.closing(Reader.snapshot(run.directory)) as store:
        left = [asdict(one) for one in left_behind(store, finished)]
    origin = {"run": str(run.directory.resolve()), "at": finished}

    def write(folder: Path, settings: TaskSettings) -> None:
        if (run.directory / PICKLE).exists():
            shutil.copyfile(run.directory / PICKLE, folder / PICKLE)
        config.write(folder, configuration.model_copy(update={"task": settings}))
        facts = {"forked_from": origin, "left_behind": left}
        write_fork(run.directory, finished, folder, facts)

    with founded(source, out, write) as place:
        return go_on(place, config.read(place), listener)


def _same_program(task: Task, other: Task) -> Task:
    """Check that a task has the program of another one, and return it.

    Raises:
        UsageError: it has another program.
    """
    if dict(task.files) != dict(other.files) or task.base != other.base:
        raise UsageError(
            f"{task.root} holds another program than the run, but a fork needs the same one; "
            "give --task a folder with the run's program"
        )
    return task


def _inherited(options: Options, parent: Configuration) -> Options:
    """Fill in from the parent run the options that are not settings of a task."""
    return replace(
        options,
        seed=parent.seed if options.seed is None else options.seed,
        workers=parent.workers if options.workers is None else options.workers,
        deterministic=parent.deterministic or options.deterministic,
    )
