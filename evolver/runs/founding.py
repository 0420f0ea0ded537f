"""Make a run's directory: completely or not at all, and keep it once it holds results."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from evolver.errors import ModelError, SandboxError, UsageError
from evolver.runs import config
from evolver.runs.recorded import BEST, LOG, PICKLE, PROGRAM, TASK
from evolver.storage.copies import make_writable
from evolver.storage.database import DATABASE, LOCK
from evolver.storage.reader import Reader
from evolver.tasks.settings import TaskSettings
from evolver.tasks.task import RUNS, Task, is_aside
from evolver.wording import shell

_LARGE = 16 * 2**20  # bytes: larger files of a task are linked, not copied
_UNBORN = ".evolver-"  # plus a process's number: the folder in which it prepares a run
_LONGEST = 512 - len("-journal") - 1  # bytes of a path to a database
_IGNORED = "*\n"  # a .gitignore: runs are no source, and large


@contextlib.contextmanager
def founded(
    task: Task, out: Path | None, write: Callable[[Path, TaskSettings], None]
) -> Iterator[Path]:
    """Make the directory of a new run, for the time of the work on it.

    If the work fails before there are results, everything that this process made is removed.

    Args:
        task: the task to copy.
        out: the directory; None: runs/<task>-<time>.
        write: writes the other files of a new run, with its database, into a given folder, which
            becomes the directory's content when it is complete. Its second argument is the
            settings of the copied task.

    Raises:
        UsageError: the directory cannot be made, or is not empty.
        EvolverError: the error of the work; if results were kept, with the command to go on.
    """
    existed = out is not None and out.exists()
    had_runs = (Path(RUNS) if out is None else out.parent).exists()
    directory = new_directory(task, out)
    try:
        _fill(task, directory, write)
    except BaseException:
        if not existed:
            _remove_folder(directory, had_runs=had_runs)
        raise
    try:
        yield directory
    except (UsageError, SandboxError, ModelError) as error:
        again = shell("evolver", "resume", directory)
        if again in str(error):
            raise
        if not holds_results(directory):
            _discard(directory)
            if not existed:
                _remove_folder(directory, had_runs=had_runs)
            raise
        raise type(error)(f"{error}\nWhat was done is kept; go on with: {again}") from error


def new_directory(task: Task, out: Path | None) -> Path:
    """Make the empty directory of a new run; by default runs/<task>-<time> in the current one.

    Raises:
        UsageError: the directory is not empty.
    """
    if out is None:
        return _new_under_runs(task.name)
    with unmakeable(out):
        _check_free(out)
        _make_parent(out)
        out.mkdir(exist_ok=True)
    return out.resolve()


def _new_under_runs(name: str) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        out = Path(RUNS) / f"{name}-{stamp}{f'-{number}' if number > 1 else ''}"
        with unmakeable(out):
            _make_parent(out)
            with contextlib.suppress(FileExistsError):
                out.mkdir()  # atomic: another run may begin in this instant
                return out.resolve()
    raise AssertionError  # count() has no end


def _check_free(out: Path) -> None:
    if (out / DATABASE).exists():
        raise UsageError(
            f"{out} holds another run; choose another --out, or go on with it by "
            f"'{shell('evolver', 'resume', out)}'"
        )
    if out.is_dir() and all(path.name.startswith(_UNBORN) for path in out.iterdir()):
        return  # at most the remains of a process that was killed while it prepared a run
    if out.exists():
        raise UsageError(f"{out} exists and is not empty; choose another --out")


def _make_parent(out: Path) -> None:
    parent = out.parent
    if parent.name == RUNS and not parent.is_dir():
        parent.mkdir(parents=True, exist_ok=True)
        (parent / ".gitignore").write_text(_IGNORED)
    parent.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def unmakeable(out: Path) -> Iterator[None]:
    """Explain why a folder cannot be made or filled."""
    try:
        yield
    except FileExistsError as error:
        raise UsageError(f"{out} cannot be made: a file is in the way; choose another --out") from (
            error
        )
    except OSError as error:
        raise UsageError(f"{out} cannot be made: {error.strerror}; choose another --out") from error


def _fill(task: Task, directory: Path, write: Callable[[Path, TaskSettings], None]) -> None:
    unborn = directory / f"{_UNBORN}{os.getpid()}"
    try:
        unborn.mkdir()
        write(unborn, copy_task(task, unborn))
        # The task first: two processes may begin in one folder, and the second fails here.
        # The database last: it makes the folder a run.
        names = sorted(path.name for path in unborn.iterdir())
        for name in sorted(names, key=lambda name: (name != TASK, name == DATABASE)):
            (unborn / name).rename(directory / name)
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if len(os.fsencode(unborn / DATABASE)) > _LONGEST:
            reason = f"its path is longer than {_LONGEST} bytes, which is SQLite's limit"
        raise UsageError(
            f"{directory} cannot be written: {reason}; choose another --out"
        ) from error
    finally:
        shutil.rmtree(unborn, ignore_errors=True)  # this process made it


# --- removing it ----------------------------------------------------------------------------------


def holds_results(directory: Path) -> bool:
    """Tell whether a run holds results, or may hold some because it cannot be read."""
    try:
        if not (directory / DATABASE).exists():
            return False
        with contextlib.closing(Reader.open(directory)) as store:
            origin = store.facts().get("forked_from") or {"at": 0}
            # A failed seed ends a run and is no result.
            return any(
                outcome.elite is not None or outcome.attempt.id > 0
                for outcome in islice(store.outcomes(), origin["at"], None)
            ) or any(
                True for attempt in store.attempts(unfinished=True) for _ in store.costs(attempt.id)
            )
    except (UsageError, OSError, sqlite3.Error):
        return True


def _discard(directory: Path) -> None:
    """Remove what evolver wrote into a directory."""
    for name in (TASK, PROGRAM, BEST):
        shutil.rmtree(directory / name, ignore_errors=True)
    database = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")
    for name in (config.CONFIGURATION, PICKLE, LOG, LOCK, *database):
        with contextlib.suppress(OSError):
            (directory / name).unlink()


def _remove_folder(directory: Path, *, had_runs: bool) -> None:
    """Remove an empty directory, and runs/ if this process made it and it is empty too."""
    with contextlib.suppress(OSError):  # it is no longer empty
        directory.rmdir()
        runs = directory.parent
        if runs.name == RUNS and not had_runs and len(list(runs.iterdir())) == 1:
            (runs / ".gitignore").unlink()
            runs.rmdir()


# --- the copy of the task -------------------------------------------------------------------------


def copy_task(task: Task, directory: Path) -> TaskSettings:
    """Copy the task into the run, so that the run can be resumed when the original changes.

    Returns:
        The settings of the copy: those of the task with another path to the program.

    Raises:
        UsageError: a file of the task cannot be read.
    """

    def ignored(folder: str, names: list[str]) -> set[str]:
        paths = [Path(folder, name) for name in names]
        # The run may lie in the task's folder, but is not part of the task.
        own = (directory, directory.parent)
        return {p.name for p in paths if is_aside(p) or p.resolve() in own or _is_loop(p)}

    target, source, settings = directory / TASK, task.program_root, task.settings
    # Relative, so that the run reads its copy also if [task] root is an absolute path.
    is_inside = source.is_relative_to(task.root.resolve())
    inner = source.relative_to(task.root.resolve()).as_posix() if is_inside else f"../{PROGRAM}"
    beside = target / inner if is_inside else directory / PROGRAM
    try:
        _copy_folder(task.root, target, ignored)
        for name in task.named:
            _add(task.root / name, target / name, ignored)
        for name in task.program_files:
            _add(source / name, beside / name, ignored)
    except shutil.Error as error:  # of several files
        place, _, reason = error.args[0][0]
        raise UsageError(f"{place} cannot be copied into the run: {reason}") from error
    if inner == settings.task.root:
        return settings
    section = settings.task.model_copy(update={"root": inner})
    return settings.model_copy(update={"task": section})


def _add(source: Path, target: Path, ignored: Callable[[str, list[str]], set[str]]) -> None:
    """Copy a named file or folder that `is_aside`, if it lies in the task's folder."""
    if target.exists() or ".." in target.parts or not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        _copy_folder(source, target, ignored)
    else:
        _copy(str(source), str(target))


def _copy_folder(source: Path, target: Path, ignored: Callable[[str, list[str]], set[str]]) -> None:
    shutil.copytree(source, target, ignore=ignored, copy_function=_copy)
    make_writable(target)


def _copy(source: str, target: str) -> str:
    if Path(source).stat().st_size > _LARGE:
        Path(target).symlink_to(source)
        return target
    shutil.copyfile(source, target)
    if os.access(source, os.X_OK):
        Path(target).chmod(0o755)  # a model's command, or a program that an evaluator runs
    return target


def _is_loop(path: Path) -> bool:
    """Tell whether a link leads to a folder that it lies in."""
    return path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())
