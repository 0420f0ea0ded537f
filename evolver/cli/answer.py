"""The command `answer`, with which a person acts as the model."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evolver.cli.output import say
from evolver.errors import UsageError

if TYPE_CHECKING:
    from evolver.models.manual import Question

_POLL = 0.5  # seconds
_SCISSORS = "----- Write your answer above this line; what is below is the prompt. -----"


def answer(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="A run's directory (default: the latest)."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Wait for more prompts until Ctrl-C.")
    ] = False,
) -> None:
    """Answer the prompts of a run yourself, in place of a model.

    The run needs a [[model]] with use = "manual". Each prompt opens in $EDITOR; without EDITOR it
    is printed, and your answer ends with Ctrl-D. Piped input answers the first prompt.
    """
    from evolver.runs.recorded import latest_directory

    found = directory or latest_directory()
    folders = list(_folders(found))
    if not folders:
        raise UsageError(
            f"{found} has no model that asks a person; start a run whose [[model]] has "
            "use = 'manual'"
        )
    answered = 0
    while True:
        question = next(_waiting(folders), None)
        if question is None:
            if not follow:
                break
            time.sleep(_POLL)
            continue
        text = _asked(question) if sys.stdin.isatty() else sys.stdin.read()
        if not text.strip():
            say("The answer is empty; the prompt still waits.", err=True)
            break
        question.give(text)
        answered += 1
        if not sys.stdin.isatty():
            break
    left = len(list(_waiting(folders)))
    say(f"{answered} answered, {left or 'none'} {'waits' if left < 2 else 'wait'}.")


def _folders(run: Path) -> Iterator[Path]:
    """Yield the folders in which the manual models of a run put their prompts."""
    from evolver.models.manual import ManualModel
    from evolver.runs import config

    for table in config.read(run).task.model:
        if table.get("use") == "manual":
            own = table.get("folder")
            folder = ManualModel(folder=None if own is None else Path(own)).within(run).folder
            assert folder is not None
            yield folder


def _waiting(folders: list[Path]) -> Iterator[Question]:
    """Yield the prompts without an answer."""
    from evolver.models.manual import questions

    for folder in folders:
        yield from questions(folder)


def _asked(question: Question) -> str:
    """Ask a person on the terminal; return the answer, "" if there is none."""
    prompt = question.prompt.read_text(encoding="utf-8")
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        name = question.prompt.name
        say(f"{prompt}\n--- {name}: type or paste the answer, then press Ctrl-D ---")
        return sys.stdin.read()
    with tempfile.TemporaryDirectory(prefix="evolver-") as folder:
        file = Path(folder, question.answer.name)
        file.write_text(f"\n{_SCISSORS}\n\n{prompt}", encoding="utf-8")
        try:
            subprocess.run([*shlex.split(editor), file], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise UsageError(
                f"the editor '{editor}' failed: {error}; set EDITOR to another one"
            ) from error
        return file.read_text(encoding="utf-8").partition(_SCISSORS)[0].strip("\n")
