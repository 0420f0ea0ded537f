"""The command `doctor`, which checks a machine, a task or a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolver.cli.arguments import task_folder
from evolver.cli.options import (
    AllowUnisolated,
    ApiBase,
    Assignments,
    Json,
    ModelName,
    SandboxName,
    Workers,
)
from evolver.cli.output import console, print_json, resume_command, say
from evolver.errors import EvolverError, UsageError
from evolver.wording import counted, shell

if TYPE_CHECKING:
    from rich.console import Console

    from evolver.checks.host import Host
    from evolver.checks.inspection import Answer, Inspection
    from evolver.runs.config import Options

_MIB = 1 << 20
_NO_LUCK = 1e-6  # relative: a gain of this size is rounding
_TIERS = {
    "A": "namespaces, system calls, files, limits",
    "B": "system calls, files, limits",
    "C": "limits only, which stop accidents and no attack",
}

Lines = Iterator[tuple[str, str]]  # a label and a text


def doctor(
    place: Annotated[
        Path | None, typer.Argument(metavar="[DIR|TASK]", help="A run's directory, or a task.")
    ] = None,
    recover: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Recover what is readable of a damaged run into a new one."
        ),
    ] = None,
    workers: Workers = None,
    model: ModelName = None,
    api_base: ApiBase = None,
    sandbox: SandboxName = None,
    allow_unisolated: AllowUnisolated = None,
    set_: Assignments = None,
    as_json: Json = False,
) -> None:
    """Check this machine, a task, or a run.

    For a task it evaluates the seed a few times and each known-bad program once, and asks each
    model for one edit.
    """
    from evolver.runs.config import Options
    from evolver.storage.database import DATABASE

    out = console(to_stderr=as_json)
    if place is None:
        if recover is not None:
            raise UsageError("--recover needs a run: evolver doctor RUN --recover NEW")
        _check_host(out, as_json=as_json)
    elif (place / DATABASE).exists():
        _check_run(place, recover, out, as_json=as_json)
    else:
        options = Options(
            workers=workers,
            model=model,
            api_base=api_base,
            sandbox=sandbox,
            allow_unisolated=allow_unisolated,
            set=set_,
        )
        _check_task(task_folder(place), options, out, as_json=as_json)


def _print(out: Console, lines: Lines) -> None:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", min_width=11)
    table.add_column(overflow="fold")
    for name, text in lines:
        table.add_row(name, text)
    out.print(table)


# --- the machine ----------------------------------------------------------------------------------


def _check_host(out: Console, *, as_json: bool) -> None:
    from evolver.checks import host

    found = host.examine()
    if as_json:
        print_json({**asdict(found), "tier": found.tier})
        return
    out.print(
        f"evolver {found.evolver}, Python {found.python}, {counted(found.cores, 'core')}, "
        f"{found.memory / 2**30:.0f} GiB of memory"
    )
    _print(out, _about_host(found))


def _about_host(found: Host) -> Lines:
    yield "sandbox", f"tier {found.tier}: {_TIERS[found.tier]}"
    for tier, lack in found.tiers.items():
        if tier == found.tier:
            break
        yield "", f"tier {tier} ({_TIERS[tier]}) does not work: {lack}"
    if found.tier == "C":
        yield "", "runs need --allow-unisolated, or --sandbox docker"
    for note in found.notes:
        yield "", note
    docker = found.docker
    if docker.reason:
        yield "docker", f"not usable: {docker.reason}"
    else:
        build = "is missing; 'evolver sandbox build' builds it"
        image = "is present" if docker.has_image else build
        yield "docker", f"engine {docker.engine}; image {docker.image} {image}"
    yield "GPUs", "; ".join(found.gpus) or "none (no nvidia-smi)"
    yield "git", found.git or "not installed; 'evolver apply' needs it"
    for name, mend in found.missing.items():
        yield name, f"not installed; {mend} installs it"
    yield "keys", ", ".join(found.keys) or "none; only models that need a key use them"


# --- a task ---------------------------------------------------------------------------------------


def _check_task(folder: Path, options: Options, out: Console, *, as_json: bool) -> None:
    from evolver.checks.inspection import inspect
    from evolver.tasks.task import load_task

    with out.status("starting") as status:  # on a terminal
        found = inspect(load_task(folder), options, lambda said: status.update(said))
    _print(out, _about_task(found))
    if as_json:
        print_json(found.record())
        if found.problems:
            say(f"evolver: {found.problems[0]}", err=True)
            raise typer.Exit(2)
    elif found.problems:
        raise EvolverError("\n".join(found.problems))


def _about_task(found: Inspection) -> Lines:
    from evolver.cli.summary import UNTRUSTED
    from evolver.evaluation import auditing
    from evolver.search import gate

    task, seed = found.task, found.seed
    yield "task", f"{task.name}: {', '.join(task.files)} can be edited"
    yield (
        "objectives",
        ", ".join(f"{n} ({direction})" for n, direction in task.objective.directions),
    )
    yield "seed", f"{seed.status}: " + (_written(seed.metrics) or "no metrics")
    if seed.status != "ok":
        return
    yield "noise", _noise(found)
    if found.variation.evaluations > 1 and found.luck > _NO_LUCK:
        yield (
            "",
            (
                f"the luckiest of {found.evaluations:,} equally good programs would look "
                f"{_percent(found.luck)} better. Raise [objective] repeats, with which a run "
                "confirms its best, or average over more inputs in the evaluator"
            ),
        )
    if seed.references:
        yield "timing", auditing.describe(seed.references)
    yield (
        "time",
        (
            f"{_seconds(found.seconds)} an evaluation; with {found.workers} in parallel about "
            f"{found.per_hour:,.0f} an hour"
        ),
    )
    budget = task.settings.budget.evaluations
    if budget is not None:
        hours = budget / found.per_hour if found.per_hour else 0.0
        yield (
            "",
            (
                f"the budget's {budget:,} take about {_seconds(3600 * hours)}, and at most "
                f"{_seconds(budget * found.limit / found.workers)}, if each runs into its timeout"
            ),
        )
    yield "", f"a child's evaluation may take {_seconds(found.limit)}, {_why(found)}"
    yield (
        "memory",
        (
            f"{seed.memory / _MIB:.0f} MiB in its largest process, of "
            f"{task.settings.sandbox.memory} MiB beside the preload"
        ),
    )
    yield "isolation", seed.isolation if seed.isolation == "docker" else f"tier {seed.isolation}"
    if not seed.trusted:
        yield "", UNTRUSTED
    holes = [verdict.program.name for verdict in found.gate if verdict.passes]
    held = gate.summary(gate.record(found.gate, 0.0))
    yield "gate", f"FAILS: {', '.join(holes)} scored above the seed" if holes else held
    yield "operators", ", ".join(found.operators) or f"NONE: {found.refusal}"
    for answer in found.answers:
        yield "model", _answer(answer)
        for note in answer.notes:
            yield "", note
    if found.answers:
        yield "cost", _cost(found)


def _why(found: Inspection) -> str:
    section = found.task.settings.evaluator
    if found.limit >= section.timeout:
        return "by [evaluator] timeout"
    return f"{section.times_seed:g} times the seed's ([evaluator] times_seed)"


def _written(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.6g}" for name, value in metrics.items())


def _noise(found: Inspection) -> str:
    if not found.noise.largest:
        return "not measured: an evaluation takes too long for a second one"
    noise = max(found.noise.largest.values())
    said = "none: the same inputs give the same scores"
    if noise:
        said = f"the same inputs give scores up to {_percent(noise)} apart"
    varied = max(found.variation.largest.values(), default=0.0)
    if varied > noise:
        deviation = max(found.variation.deviation.values())
        said += (
            f"; {found.variation.evaluations} draws of secret inputs give scores up to "
            f"{_percent(varied)} apart, with a standard deviation of {_percent(deviation)}"
        )
    return said


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return f"{1e3 * seconds:.1f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _cost(found: Inspection) -> str:
    said = f"a prompt has about {found.prompt_tokens:,} tokens"
    prices = [a.prompt_dollars for a in found.answers if a.prompt_dollars is not None]
    if len(prices) < len(found.answers):
        said += ", price unknown"
    elif max(prices) > 0:
        said += f", ${max(prices):.4f} without its answer"
    if found.requests:
        said += f"; the budget takes about {found.requests:,} of them"
        if len(prices) == len(found.answers) and max(prices) > 0:
            said += f", ${found.requests * min(prices):.2f} at least"
    return said


def _answer(answer: Answer) -> str:
    if not answer.is_asked:
        return f"{answer.model} is not asked now: its answers come from files"
    price = "price unknown" if answer.dollars is None else f"${answer.dollars:.6f}"
    cost = f"in {answer.seconds:.1f} s ({counted(answer.tokens, 'token')}, {price})"
    if answer.problem and not answer.tokens:
        return f"{answer.model} GIVES NO ANSWER: {answer.problem}"
    if answer.problem or answer.flaw:
        return f"{answer.model} answers {cost}, BUT {answer.problem or answer.flaw}"
    return f"{answer.model} answers {cost}, and its edit of the seed applies"


# --- a run ----------------------------------------------------------------------------------------


def _check_run(directory: Path, recover: Path | None, out: Console, *, as_json: bool) -> None:
    from evolver.storage import recovery

    found = recovery.examine(directory)
    if recover is not None:
        found = recovery.recover(directory, recover)
    programs = sum(row["verdict"] == "evaluated" for row in found.outcomes)
    if recover is not None:
        whole = counted(len(found.outcomes), "whole attempt")
        out.print(f"{whole}; go on: {resume_command(recover)}", soft_wrap=True)
        if as_json:
            print_json({"attempts": len(found.outcomes), "programs": programs})
        return
    out.print(
        f"{directory}: {counted(len(found.outcomes), 'finished attempt')} with "
        f"{counted(programs, 'judged program')} and "
        f"{counted(len(found.rows['completions']), 'completion')} can be read",
        soft_wrap=True,
    )
    if not found.damage:
        out.print("the database is whole")
        if as_json:
            print_json({"attempts": len(found.outcomes), "programs": programs})
        return
    damage = f"the database is damaged ({' '.join(found.damage.split())[:80]})"
    if found.resumable:
        command = shell("evolver", "doctor", directory, "--recover", "NEW_DIR")
        raise EvolverError(f"{damage}; go on with what can be read: {command}")
    raise EvolverError(
        f"{damage}, and too little is readable to go on; start again from its task in "
        f"{directory / 'task'}"
    )
