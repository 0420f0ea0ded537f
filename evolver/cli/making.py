"""Commands that make tasks and branches: init, apply."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from evolver.cli.places import BEST, program_named, say
from evolver.errors import UsageError
from evolver.wording import counted, shell


def init(
    program: Annotated[
        Path | None, typer.Argument(metavar="PROGRAM", help="The program to evolve: one file.")
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
            help="Evolve the program where it lies, or a copy (default: in place where that is in "
            "a git repository).",
        ),
    ] = None,
) -> None:
    """Make a task of a program and a scoring function.

    The program is measured, to see which metrics there are and which files are needed, and the
    task that was made too.
    """
    if from_ is not None:
        from evolver.gallery import copy

        folder = copy(from_, out or Path(from_))
        say(f"{folder} is a copy of the task {from_}.")
        say(f"Start with: {shell('evolver', 'run', folder)}")
        return
    if program is None or scoring is None:
        raise UsageError(
            "init wants a program and the function that scores it, as in 'evolver init sine.py "
            "score.py', or --from NAME ('evolver tasks' lists the names)"
        )
    from evolver import scaffold

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


def apply(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="A run's directory (default: the latest)."),
    ] = None,
    branch: Annotated[
        str | None, typer.Option(metavar="NAME", help="The branch to make (default: evolver/RUN).")
    ] = None,
    program: Annotated[str, typer.Option(metavar="PROGRAM", help="A number, seed or best.")] = BEST,
    lineage: Annotated[
        bool, typer.Option("--lineage", help="A commit for every step from the seed.")
    ] = False,
) -> None:
    """Put the winner on a new branch of its repository.

    The current branch, the index and the working tree are not touched.
    """
    from importlib.metadata import version

    from evolver import repository
    from evolver.runs import Run

    run = Run.open(directory)
    winner = program_named(run, program)
    chain = list(run.lineage(winner))
    if chain[0].program.id != 0:  # it began with the program of another run
        chain.insert(0, run.elites[0])
    source = (
        f"Found by evolver {version('evolver')} in {counted(run.evaluations, 'evaluation')}, "
        f"run {run.directory.name}."
    )
    if winner in run.deviations and not lineage:
        source += f" Measured twice, {100 * run.deviations[winner]:.2g} % apart."
    if winner in run.elites and not run.elites[winner].evaluation.trusted:
        source += " Untrusted: its evaluator ran beside it and believed what it said."
    steps = repository.steps_of(chain, run.objective.directions, source, each=lineage)
    name = branch or f"evolver/{_for_git(run.directory.name)}"
    commit = repository.apply(
        Path(run.facts["source"]),
        chain[0].program.files,
        steps,
        name,
        recorded=(run.facts.get("repository") or {}).get("commit", ""),
    )
    say(f"{name} is at {commit[:10]}; look at it with: {shell('git', 'show', name)}")


def _for_git(name: str) -> str:
    """Return a name that a branch can have."""
    return re.sub(r"[^\w.+-]+|\.{2,}|^[.-]+|\.(lock)?$", "-", name).strip("-") or "run"
