"""Commands that work with a recorded run: replay, fork."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
from evolver.wording import counted

if TYPE_CHECKING:
    from evolver.search.replay import Replay

_SHOWN = 10  # differences

Directory = Annotated[
    Path | None,
    typer.Argument(metavar="[DIR]", help="A run's directory (default: the latest)."),
]


def replay(
    directory: Directory = None,
    re_evaluate: Annotated[
        bool, typer.Option("--re-evaluate", help="Evaluate every program again, and compare.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Repeat a run from its record, and compare the results.

    It needs no network, model or evaluator. The exit code is 1 if anything differs.
    """
    from evolver.runs.recorded import latest_directory
    from evolver.runs.replaying import replay as walk

    found = walk(directory or latest_directory(), re_evaluate=re_evaluate)
    if as_json:
        print_json(
            {
                "attempts": found.attempts,
                "same": not found.differences,
                "differences": [vars(one) for one in found.differences],
                "outdated": [vars(one) for one in found.outdated],
                "gone_rules": found.gone,
                "changed_prompts": found.prompts,
                "measured_again": found.measured,
                "noise": found.noise,
            }
        )
    else:
        _print(found)
    if found.differences:
        raise typer.Exit(1)


def _print(found: Replay) -> None:
    out = console()
    count = f"{counted(found.attempts, 'attempt')} replayed"
    if not found.differences:
        out.print(f"{count}: same programs, scores and order")
    else:
        out.print(f"{count}, {counted(len(found.differences), 'difference')}:")
        for one in found.differences[:_SHOWN]:
            out.print(f"  {one}")
        if len(found.differences) > _SHOWN:
            out.print(f"  ... and {len(found.differences) - _SHOWN} more; --json has them all")
    if found.outdated:
        children = len({one.attempt for one in found.outdated})
        out.print(
            f"{counted(children, 'child', 'children')} would differ by today's rules; the record "
            f"was used: {'; '.join(found.gone)}"
        )
    if found.prompts:
        out.print(
            f"{counted(len(found.prompts), 'attempt')} would get another prompt today, because "
            "templates or texts of the task have changed"
        )
    if found.measured:
        out.print(
            f"{counted(found.measured, 'program')} measured again; relative differences up to "
            f"{found.noise:.1g} count as noise"
        )


def fork(
    directory: Directory = None,
    at: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Fork after N finished attempts (default: all)."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The new run's directory (default: runs/TASK-TIME)."),
    ] = None,
    task: Annotated[
        Path | None,
        typer.Option(
            metavar="TASK", help="Use the settings of this task, which must have the same program."
        ),
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
    deterministic: Deterministic = None,
    sandbox: SandboxName = None,
    allow_unisolated: AllowUnisolated = None,
    ablate: Ablate = None,
    set_: Assignments = None,
    as_json: Json = False,
) -> None:
    """Start a run from a state of another one, with other settings.

    Settings that are not given stay the same. Budgets are totals: they include what was spent
    before.
    """
    from evolver.cli.summary import conclude
    from evolver.reports import display
    from evolver.runs.config import Options
    from evolver.runs.forking import fork as branch
    from evolver.runs.recorded import latest_directory

    found = directory or latest_directory()
    options = Options(
        evaluations, seconds, dollars, tokens, target, seed, workers, model, api_base,
        deterministic, allow_unisolated, ablate=ablate or None, sandbox=sandbox, set=set_,
    )  # fmt: skip
    out_to = console(to_stderr=as_json)
    with display.view(out_to, found.name) as listener:
        done = branch(found, options, at=at, task=task, out=out, listener=listener)
    conclude(done, out_to, before=done.facts["forked_from"]["at"], as_json=as_json)
