"""Commands that make tasks and branches, and that find out what is wrong: init, apply, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolver.cli.places import console, task_folder
from evolver.errors import EvolverError, UsageError

if TYPE_CHECKING:
    from rich.console import Console


def init(
    program: Annotated[Path, typer.Argument(help="The program to evolve: one file.")],
    scoring: Annotated[
        str,
        typer.Argument(metavar="FILE.py[:FUNCTION]", help="The function that scores a candidate."),
    ],
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
) -> None:
    """Make a task of a program and a scoring function.

    The program is measured once, to see which metrics there are.
    """
    from evolver import scaffold

    made = scaffold.make_task(
        program, scoring, out or Path(program.stem), tuple(maximize or ()), tuple(minimize or ())
    )
    for sentence in made.sentences:
        typer.echo(sentence)
    typer.echo(f"Start with: evolver run {made.folder}")


def apply(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="A run's directory (default: the latest)."),
    ] = None,
    branch: Annotated[
        str | None, typer.Option(metavar="NAME", help="The branch to make (default: evolver/RUN).")
    ] = None,
    program: Annotated[
        int | None, typer.Option(metavar="ID", help="The program to apply (default: the best).")
    ] = None,
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
    if program is None and run.best is None:
        raise UsageError(f"{run.directory} has no program that passed its evaluation")
    winner = program if program is not None else run.best.program.id  # type: ignore[union-attr]
    chain = list(run.lineage(winner))
    if chain[0].program.id != 0:  # it began with the program of another run
        chain.insert(0, run.elites[0])
    source = (
        f"Found by evolver {version('evolver')} in {run.evaluations} evaluations, "
        f"run {run.directory.name}."
    )
    if winner in run.deviations and not lineage:
        source += f" Measured twice, {100 * run.deviations[winner]:.2g} % apart."
    steps = repository.steps_of(chain, run.objective.directions, source, each=lineage)
    name = branch or f"evolver/{run.directory.name}"
    commit = repository.apply(
        Path(run.facts["source"]),
        chain[0].program.files,
        steps,
        name,
        recorded=(run.facts.get("repository") or {}).get("commit", ""),
    )
    typer.echo(f"{name} is at {commit[:10]}; look at it with: git show {name}")


def doctor(
    place: Annotated[
        Path | None, typer.Argument(metavar="[DIR|TASK]", help="A run's directory, or a task.")
    ] = None,
    recover: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write what is whole of a damaged run as a new one."),
    ] = None,
) -> None:
    """Check this machine, a task, or a run."""
    from evolver.store import DATABASE

    out = console()
    if place is None:
        if recover is not None:
            raise UsageError("--recover needs a run: evolver doctor RUN --recover NEW")
        _check_machine(out)
    elif (place / DATABASE).exists():
        _check_run(place, recover, out)
    else:
        _check_task(task_folder(place), out)


def _check_machine(out: Console) -> None:
    import os
    import platform
    import shutil
    from importlib.metadata import version
    from importlib.util import find_spec

    from evolver.sandboxes import local

    out.print(f"evolver {version('evolver')}, Python {platform.python_version()}")
    out.print(f"cores: {len(os.sched_getaffinity(0))}")
    tier = local.strongest_tier()
    out.print(f"sandbox: tier {tier}")
    for stronger in local.TIERS[: local.TIERS.index(tier)]:
        for sentence in local.lacks(stronger):
            out.print(f"  {sentence}")
    if tier == local.TIERS[-1]:
        out.print("  candidates would not be isolated: runs need --allow-unisolated")
    out.print("git: " + (shutil.which("git") or "not installed; 'evolver apply' needs it"))
    for name, extra in (("plotly", "report"), ("torch", "torch"), ("ray", "distributed")):
        mend = f"not installed; pip install 'evolver[{extra}]' adds it"
        out.print(f"{name}: {'installed' if find_spec(name) else mend}")
    key = "set" if os.environ.get("OPENAI_API_KEY") else "not set; only models with a key need it"
    out.print(f"OPENAI_API_KEY: {key}")


def _check_task(folder: Path, out: Console) -> None:
    from evolver import assemble, sessions
    from evolver.task import load_task

    task = load_task(folder)
    out.print(f"task {task.name}: {', '.join(task.files)} can be edited")
    names = [f"{n} ({direction})" for n, direction in task.objective.directions]
    out.print(f"objectives: {', '.join(names)}")
    operators = assemble.make_operators(task, has_model=bool(task.settings.model))
    out.print(f"operators: {', '.join(entry.name for entry in operators)}")
    verdict = sessions.judge(task)
    metrics = ", ".join(f"{name} {value:.6g}" for name, value in verdict.metrics.items())
    out.print(f"seed: {verdict.status}, {metrics or verdict.feedback}")
    if verdict.status != "ok":
        raise UsageError("the seed program fails its own evaluation; mend it or the evaluator")
    out.print(f"isolation: {verdict.isolation}; {verdict.seconds * 1e3:.1f} ms for one evaluation")


def _check_run(directory: Path, recover: Path | None, out: Console) -> None:
    from evolver import salvage

    found = salvage.examine(directory)
    if recover is not None:
        found = salvage.recover(directory, recover)
        out.print(f"{len(found.outcomes)} attempts are whole; go on: evolver resume {recover}")
        return
    programs = sum(row["verdict"] == "evaluated" for row in found.outcomes)
    out.print(
        f"{directory}: {len(found.outcomes)} finished attempts with {programs} judged programs "
        f"and {len(found.rows['completions'])} completions can be read"
    )
    if not found.damage:
        out.print("the database is whole")
        return
    damage = f"the database is damaged ({' '.join(found.damage.split())[:80]})"
    if found.resumable:
        raise EvolverError(
            f"{damage}; go on with what can be read: evolver doctor {directory} --recover NEW_DIR"
        )
    raise EvolverError(
        f"{damage} and too little can be read to go on; its task is still in {directory / 'task'}"
    )
