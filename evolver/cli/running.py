"""Commands that run programs: run, resume, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolver.cli.arguments import task_folder
from evolver.cli.options import (
    Ablate,
    AllowUnisolated,
    ApiBase,
    Assignments,
    Deterministic,
    Dollars,
    Evaluations,
    Json,
    ModelName,
    SandboxName,
    Seconds,
    Seed,
    Target,
    Tokens,
    Workers,
)
from evolver.cli.output import console, print_json
from evolver.errors import UsageError

if TYPE_CHECKING:
    from evolver.tasks.task import Task
    from evolver.types import Files

TaskFolder = Annotated[Path, typer.Argument(metavar="TASK", help="A folder with a task.toml.")]


def run(
    task: TaskFolder,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The run's directory (default: runs/TASK-TIME)."),
    ] = None,
    evaluations: Evaluations = None,
    seconds: Seconds = None,
    dollars: Dollars = None,
    tokens: Tokens = None,
    target: Target = None,
    seed: Seed = None,
    workers: Workers = None,
    model: ModelName = None,
    api_base: ApiBase = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Add the front of another run to the seeds."),
    ] = None,
    deterministic: Deterministic = None,
    sandbox: SandboxName = None,
    allow_unisolated: AllowUnisolated = None,
    skip_gate: Annotated[
        bool | None,
        typer.Option("--skip-gate", help="Start even if the evaluator prefers bad programs."),
    ] = None,
    ablate: Ablate = None,
    set_: Assignments = None,
    as_json: Json = False,
) -> None:
    """Evolve the program of a task."""
    from evolver.cli.summary import conclude
    from evolver.reports import display
    from evolver.runs.config import Options
    from evolver.runs.starting import start
    from evolver.tasks.task import load_task

    loaded = load_task(task_folder(task))
    options = Options(
        evaluations, seconds, dollars, tokens, target, seed, workers, model, api_base,
        deterministic, allow_unisolated, skip_gate, ablate or None, sandbox, set_,
    )  # fmt: skip
    out_to = console(to_stderr=as_json)
    with display.view(out_to, loaded.name) as listener:
        done = start(loaded, options, out=out, elites_of=from_, listener=listener)
    conclude(done, out_to, as_json=as_json)


def resume(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="A run's directory (default: the latest)."),
    ] = None,
    evaluations: Evaluations = None,
    seconds: Seconds = None,
    dollars: Dollars = None,
    tokens: Tokens = None,
    target: Target = None,
    workers: Workers = None,
    model: ModelName = None,
    api_base: ApiBase = None,
    sandbox: SandboxName = None,
    allow_unisolated: AllowUnisolated = None,
    set_: Assignments = None,
    as_json: Json = False,
) -> None:
    """Go on with a run that was stopped or killed.

    Budgets are totals over all sessions: a finished run goes on if you give it more.
    """
    from evolver.cli.summary import conclude
    from evolver.reports import display
    from evolver.runs import sessions
    from evolver.runs.config import Options
    from evolver.runs.recorded import latest_directory
    from evolver.runs.run import Run

    found = directory or latest_directory()
    options = Options(
        evaluations, seconds, dollars, tokens, target, None, workers, model, api_base, None,
        allow_unisolated, sandbox=sandbox, set=set_,
    )  # fmt: skip
    out_to = console(to_stderr=as_json)
    with display.view(out_to, found.name) as listener:
        before = len(Run.open(found).outcomes)
        done = sessions.resume(found, options, listener=listener)
    conclude(done, out_to, before=before, as_json=as_json)


def evaluate(
    task: TaskFolder,
    program: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="The program: a file, or a folder (default: the task's seed)."
        ),
    ] = None,
    confirm: Annotated[
        bool,
        typer.Option(
            "--confirm",
            help="Measure as for a confirmation, by the evaluator's `confirm` if it has one.",
        ),
    ] = False,
    sandbox: SandboxName = None,
    set_: Assignments = None,
    as_json: Json = False,
) -> None:
    """Evaluate one program as a run would.

    The exit code is 0 for any verdict, and 2 if the program cannot be evaluated.
    """
    from dataclasses import replace

    from evolver.cli.summary import UNTRUSTED
    from evolver.programs.edits import violation
    from evolver.runs.assignments import assigned
    from evolver.runs.config import in_sandbox
    from evolver.runs.judging import judge
    from evolver.tasks.task import load_task
    from evolver.types import Evaluation

    loaded = assigned(load_task(task_folder(task)), set_ or ())
    files = loaded.files if program is None else _files_at(program, loaded)
    reason = violation(loaded.files, files)
    if reason is not None:
        verdict = Evaluation("rejected", feedback=reason, fault="candidate", evaluations=0)
    else:
        where = replace(loaded, settings=in_sandbox(loaded.settings, sandbox))
        given = None if program is None else files
        verdict = judge(where, given, is_confirmation=confirm)
    if verdict.fault == "evaluator":
        raise UsageError(f"the evaluator failed; mend it:\n{verdict.explanation}")
    if as_json:
        print_json(
            {
                "status": verdict.status,
                "metrics": dict(verdict.metrics),
                "private": dict(verdict.private),
                "objectives": verdict.objectives,
                "feedback": verdict.explanation,
                "flags": list(verdict.flags),
                "seconds": round(verdict.seconds, 6),
                "memory": verdict.memory,
                "isolation": verdict.isolation,
                "trusted": verdict.trusted,
            }
        )
        return
    out_to = console()
    out_to.print(f"status      {verdict.status}")
    for name, value in [*verdict.metrics.items(), *verdict.private.items()]:
        private = " (private)" if name in verdict.private else ""
        out_to.print(f"{name:<11} {value:.10g}{private}")
    out_to.print(f"seconds     {verdict.seconds:.3f}")
    if verdict.memory:
        out_to.print(f"memory      {verdict.memory / 2**20:.0f} MiB")
    if verdict.isolation:
        out_to.print(f"isolation   {verdict.isolation}")
    if not verdict.trusted:
        out_to.print(UNTRUSTED)
    if verdict.complaint:
        out_to.print(verdict.complaint)


def _files_at(program: Path, task: Task) -> Files:
    """Read the task's editable files from a folder, or the only one from a file.

    Raises:
        UsageError: files are missing.
    """
    names = list(task.files)
    if not program.exists():
        raise UsageError(f"{program} does not exist; give --program a file or a folder")
    if program.is_file():
        if len(names) > 1:
            raise UsageError(
                f"this task's program has {len(names)} files ({', '.join(names)}); "
                "give --program a folder with them"
            )
        return {names[0]: program.read_bytes()}
    missing = [name for name in names if not (program / name).is_file()]
    if missing:
        raise UsageError(
            f"{program} has no {', '.join(missing)}; give --program a folder with the program"
        )
    return {name: (program / name).read_bytes() for name in names}
