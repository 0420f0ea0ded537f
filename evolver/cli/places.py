"""What the words on the command line mean: tasks, runs, programs; and where output goes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from evolver.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from evolver.runs import Run

_WIDTH_OF_A_FILE = 120  # columns where the output is no terminal


def task_folder(path: Path) -> Path:
    """Return the folder of a task; `examples/NAME` is found wherever one stands."""
    if not path.exists() and path.parts[:1] == ("examples",):
        from evolver.bundled import bundled

        shipped = bundled("examples").joinpath(*path.parts[1:])
        if shipped.is_dir():
            return shipped
    return path


def run_and_programs(words: Sequence[str], most: int) -> tuple[Run, list[int]]:
    """Read `[DIR] [ID]...`: a run (without a directory the latest), and programs in it.

    Raises:
        UsageError: there is no such run, or the words are not a directory and numbers.
    """
    from evolver.runs import Run

    rest = list(words)
    directory = rest.pop(0) if rest and not _is_number(rest[0]) else None
    if len(rest) > most or not all(_is_number(word) for word in rest):
        raise UsageError(
            f"'{' '.join(words)}' is not understood; name a run's directory, then at most {most} "
            "of its programs by number"
        )
    return Run.open(directory), [int(word) for word in rest]


def _is_number(word: str) -> bool:
    return word.isdecimal() and not Path(word).is_dir()


def console(*, to_stderr: bool = False) -> Console:
    """Return a console for people; text is printed as it is."""
    from rich.console import Console

    made = Console(stderr=to_stderr, markup=False, highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made = Console(stderr=to_stderr, markup=False, highlight=False, width=_WIDTH_OF_A_FILE)
    return made


def print_json(content: object) -> None:
    """Print one JSON object as one line."""
    typer.echo(json.dumps(content, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else dict(value)
