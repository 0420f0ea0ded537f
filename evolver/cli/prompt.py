"""The command `prompt`, which prints prompts: the next one, or those that were sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolver.cli.arguments import task_folder
from evolver.cli.options import Assignments
from evolver.cli.output import say
from evolver.errors import UsageError

if TYPE_CHECKING:
    from evolver.runs.run import Run
    from evolver.types import Prompt


def prompt(
    place: Annotated[
        Path, typer.Argument(metavar="TASK|DIR", help="A task, or the directory of a run.")
    ],
    operator: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The operator (default: the first that asks a model)."),
    ] = None,
    attempt: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Print what was sent for this attempt of the run."),
    ] = None,
    set_: Assignments = None,
) -> None:
    """Print the prompt that a model would get, or got.

    No model is asked. For a task it is the prompt for the seed, for a run one that its next attempt
    could send.
    """
    from dataclasses import replace

    from evolver.checks import preview
    from evolver.runs.assignments import assigned
    from evolver.runs.run import Run
    from evolver.storage.database import DATABASE
    from evolver.tasks.task import load_task

    is_run = (place / DATABASE).exists()
    if attempt is not None:
        if operator is not None or set_:
            raise UsageError(
                "--attempt prints what was sent, so --operator and --set do nothing; leave them out"
            )
        _print_sent(Run.open(place), attempt)
        return
    if is_run:
        run = Run.open(place)
        context = preview.at_the_end(run)
        task = assigned(run.task, set_ or ())
        made = preview.preview(task, replace(context, brief=task.brief), operator)
    else:
        task = assigned(load_task(task_folder(place)), set_ or ())
        made = preview.preview(task, preview.at_the_start(task), operator)
    say(f"operator {made.operator}, {_size(made.prompt)}")
    for path in made.templates:
        say(f"template {path}")
    if made.others:
        say(f"other operators (--operator): {', '.join(made.others)}")
    _print(made.prompt)


def _print_sent(run: Run, attempt: int) -> None:
    sent = run.prompts(attempt)
    if not sent and all(outcome.attempt.id != attempt for outcome in run.outcomes):
        raise UsageError(
            f"{run.directory} has no attempt {attempt}; the last one is "
            f"{max((outcome.attempt.id for outcome in run.outcomes), default=0)}"
        )
    if not sent:
        raise UsageError(f"attempt {attempt} of {run.directory} asked no model")
    for call, said in sent.items():
        say(f"attempt {attempt}, request {call + 1} of {len(sent)}, {_size(said)}")
        _print(said)


def _size(said: Prompt) -> str:
    from evolver import prompts

    return f"about {prompts.tokens(said.system) + prompts.tokens(said.user)} tokens"


def _print(said: Prompt) -> None:
    say(f"--- system ---\n{said.system}\n--- user ---\n{said.user}")
