"""Read the arguments of commands: tasks, runs, programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evolver.errors import UsageError
from evolver.wording import counted

if TYPE_CHECKING:
    from evolver.runs.run import Run

SEED, BEST = "seed", "best"  # programs by name


def task_folder(path: Path) -> Path:
    """Return the folder of a task; `examples/NAME` is found from any working directory."""
    if not path.exists() and path.parts[:1] == ("examples",):
        from evolver.bundled import bundled

        shipped = bundled("examples").joinpath(*path.parts[1:])
        if shipped.is_dir():
            return shipped
    return path


def run_and_programs(words: Sequence[str], most: int | None = None) -> tuple[Run, list[int]]:
    """Read `[DIR] [PROGRAM]...`: a run (default: the latest) and programs of it.

    Args:
        words: a directory, then programs: numbers, `seed` or `best`.
        most: the most programs; None: any number.

    Raises:
        UsageError: the run does not exist, or the words are not a directory and programs.
    """
    from evolver.runs.run import Run

    rest = list(words)
    directory = rest.pop(0) if rest and not _is_program(rest[0]) else None
    if (most is not None and len(rest) > most) or not all(map(_is_program, rest)):
        programs = "programs" if most is None else counted(most, "program")
        raise UsageError(
            f"'{' '.join(words)}' is not understood; give a run's directory, then at most "
            f"{programs} of it: a number, {SEED} or {BEST}"
        )
    run = Run.open(directory)
    return run, [program_named(run, word) for word in rest]


def program_named(run: Run, word: str) -> int:
    """Return the number of a program: `seed`, `best`, or the number itself.

    Raises:
        UsageError: the word is something else, or the run has no best program.
    """
    if word == SEED:
        return 0
    if word == BEST:
        if run.best is None:
            raise UsageError(
                f"{run.directory} has no program that passed its evaluation; see 'evolver show'"
            )
        return run.best.program.id
    if not word.isdecimal():
        raise UsageError(f"'{word}' names no program; give a number, {SEED} or {BEST}")
    return int(word)


def _is_program(word: str) -> bool:
    from evolver.storage.database import DATABASE

    return (word.isdecimal() or word in (SEED, BEST)) and not (Path(word) / DATABASE).exists()
