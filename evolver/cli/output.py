"""What commands print: text for people, JSON for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from evolver.wording import shell, visible, visible_json

if TYPE_CHECKING:
    from rich.console import Console


def console(*, to_stderr: bool = False) -> Console:
    """Return a console for people, which prints text literally."""
    from evolver.reports.terminal import Terminal

    return Terminal(to_stderr=to_stderr)


def say(text: str, *, err: bool = False) -> None:
    """Print a text for people, without wrapping its lines."""
    typer.echo(visible(text), err=err)


def resume_command(directory: Path, *options: str) -> str:
    """Return the command that resumes a run."""
    return shell("evolver", "resume", directory, *options)


def print_json(content: object) -> None:
    """Print one JSON object as one line."""
    typer.echo(visible_json(json.dumps(content, ensure_ascii=False, default=_plain)))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else dict(value)
