"""The command `apply`, which puts a winner on a branch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolver.cli.arguments import BEST, program_named
from evolver.cli.output import say
from evolver.errors import UsageError
from evolver.wording import counted, shell

if TYPE_CHECKING:
    from evolver.runs.run import Run


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
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="Apply the program even if it is no better within the noise."
        ),
    ] = False,
) -> None:
    """Put the winner on a new branch of its repository.

    If the winner is not confirmed, it is first measured again together with the seed. It is refused
    if it is not better by more than the noise. The current branch, the index and the working tree
    do not change.
    """
    from importlib.metadata import version

    from evolver.runs import repository
    from evolver.runs.run import Run

    run = Run.open(directory)
    if run.best is None:
        raise UsageError(f"{run.directory} has no program that passed its evaluation")
    asked = None if program == BEST else program_named(run, program)
    if asked is not None:
        run.lineage(asked)  # raises if it has no passing evaluation
    name = branch or f"evolver/{_for_git(run.directory.name)}"
    place = Path(run.facts["source"])
    recorded = (run.facts.get("repository") or {}).get("commit", "")
    repository.check(place, run.elites[0].program.files, name, recorded=recorded)
    run = _confirmed(run, asked)
    winner = _winner(run, asked)
    doubt = _doubt(run, winner)
    if doubt and not anyway:
        raise UsageError(
            f"program {winner} is not established to be better than the seed: {doubt}. Give the "
            "run more evaluations, start one with more [objective] repeats, or average more in "
            "the evaluator; --anyway applies the program as it is"
        )
    chain = list(run.lineage(winner))
    if chain[0].program.id != 0:  # its first ancestor came from another run
        chain.insert(0, run.elites[0])
    source = (
        f"Found by evolver {version('evolver')} in {counted(run.evaluations, 'evaluation')}, "
        f"run {run.directory.name}."
    )
    if doubt:
        source += f" Applied anyway, though it is not established to be better: {doubt}."
    if not run.elites[winner].evaluation.trusted:
        source += " Untrusted: the evaluator and the program shared a process."
    steps = repository.steps_of(chain, run.objective.directions, run.evidence, source, each=lineage)
    commit = repository.apply(place, chain[0].program.files, steps, name, recorded=recorded)
    say(f"{name} is at {commit[:10]}; look at it with: {shell('git', 'show', name)}")


def _for_git(name: str) -> str:
    """Return a valid branch name."""
    return re.sub(r"[^\w.+-]+|\.{2,}|^[.-]+|\.(lock)?$", "-", name).strip("-") or "run"


def _confirmed(run: Run, program: int | None) -> Run:
    """Confirm the program if it is not confirmed yet, and show the progress on a terminal."""
    from evolver.cli.output import console
    from evolver.reports import display
    from evolver.runs import sessions

    if run.is_unconfirmed if program is None else program not in run.evidence.confirmed:
        with display.view(console(to_stderr=True), run.directory.name) as listener:
            return sessions.confirm(run.directory, program, listener=listener)
    return run


def _winner(run: Run, program: int | None) -> int:
    """Return the program to apply: the best one that is not the seed."""
    if program is not None:
        return program
    others = [
        elite
        for id_, elite in run.elites.items()
        if id_ != 0 and id_ not in run.failed and id_ in run.evidence.confirmed
    ]
    if run.best is not None and run.best.program.id != 0:
        return run.best.program.id
    if not others:
        raise UsageError(
            f"{run.directory} has no program to apply besides its seed; give it more evaluations"
        )
    return max(others, key=lambda elite: (elite.objectives, -elite.program.id)).program.id


def _doubt(run: Run, program: int) -> str:
    """Return why a program may be no better than the seed; "" where it is."""
    from evolver.search import formatting

    if program in run.failed:
        return "it failed when it was measured again"
    found = run.evidence.compared(program)
    if found is None:
        return "it or the seed could not be measured again"
    return "" if found.is_better else formatting.compared(found, run.objective)
