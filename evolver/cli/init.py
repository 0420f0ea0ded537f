"""The command `init`, which makes a task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolver.cli.output import say
from evolver.errors import UsageError
from evolver.wording import shell


def init(
    program: Annotated[
        Path | None, typer.Argument(metavar="PROGRAM", help="The program to evolve, one file.")
    ] = None,
    scoring: Annotated[
        str | None,
        typer.Argument(metavar="FILE.py[:FUNCTION]", help="The function that scores a candidate."),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME", help="Copy a task that evolver ships instead."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The task's folder (default: the program's name)."),
    ] = None,
    maximize: Annotated[
        list[str] | None, typer.Option(metavar="METRIC", help="Higher is better; may be repeated.")
    ] = None,
    minimize: Annotated[
        list[str] | None, typer.Option(metavar="METRIC", help="Lower is better; may be repeated.")
    ] = None,
    in_place: Annotated[
        bool | None,
        typer.Option(
            "--in-place/--copy",
            help="Evolve the program in its place, or a copy (default: in place if it is in a git "
            "repository).",
        ),
    ] = None,
) -> None:
    """Make a task from a program and a scoring function.

    The program is scored once to find its metrics and the files that it needs, and once more in
    the new task.
    """
    if from_ is not None:
        from evolver.checks.gallery import copy

        folder = copy(from_, out or Path(from_))
        say(f"{folder} is a copy of the task {from_}.")
        say(f"Start with: {shell('evolver', 'run', folder)}")
        return
    if program is None or scoring is None:
        raise UsageError(
            "init needs a program and a function that scores it, such as 'evolver init sine.py "
            "score.py', or --from NAME ('evolver tasks' lists the names)"
        )
    from evolver.checks import scaffold

    made = scaffold.make_task(
        program,
        scoring,
        out,
        tuple(maximize or ()),
        tuple(minimize or ()),
        in_place=in_place,
    )
    for sentence in made.sentences:
        say(sentence)
    say(f"Start with: {shell('evolver', 'run', made.folder)}")
