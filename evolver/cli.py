"""The command line. Heavy imports stand inside the commands, so that `evolver --help` is quick."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(name="evolver", help="Evolve a program against a score.", no_args_is_help=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"evolver {version('evolver')}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Evolve a program against a score."""
