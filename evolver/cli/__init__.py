"""The command line. Heavy imports stand inside the commands, so that `evolver --help` is quick.

Exit codes: 0; 1 where a replay differs; 2 where the user can mend it, with one sentence that says
how; 130 after Ctrl-C.
With `--json` a command prints one JSON object as the last line of its standard output, and what
is for people goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated

import typer

from evolver.cli import (
    answering,
    checking,
    making,
    prompting,
    rerunning,
    results,
    running,
    sandboxing,
    tasks,
)
from evolver.errors import EvolverError

app = typer.Typer(
    name="evolver",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: quick to load, the same on every terminal
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: evolver run examples/exp2",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"evolver {version('evolver')}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Give it a program and a way to score it; get a better program, with evidence."""


for _command in (
    running.run,
    running.resume,
    results.show,
    results.best,
    results.diff,
    results.export,
    rerunning.replay,
    rerunning.fork,
    running.evaluate,
    prompting.prompt,
    answering.answer,
    tasks.tasks,
    making.init,
    making.apply,
    checking.doctor,
):
    app.command()(_command)

app.add_typer(sandboxing.app)


def main() -> None:
    """Run the command line; what the user can mend is one sentence, not a traceback."""
    try:
        app(prog_name="evolver")
    except EvolverError as error:
        if os.environ.get("EVOLVER_DEBUG"):
            raise
        typer.echo(f"evolver: {error}", err=True)
        if "--json" in sys.argv:
            typer.echo(json.dumps({"error": str(error)}))
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("evolver: interrupted", err=True)
        sys.exit(130)
