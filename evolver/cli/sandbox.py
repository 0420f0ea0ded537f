"""The command `sandbox build`, which builds the image of the docker sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolver.cli.arguments import task_folder
from evolver.cli.output import console
from evolver.errors import UsageError

app = typer.Typer(
    name="sandbox",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Build the image in which --sandbox docker runs candidates.",
)


@app.callback()
def _root() -> None:
    """Build the image in which --sandbox docker runs candidates."""


@app.command()
def build(
    task: Annotated[
        Path | None,
        typer.Argument(metavar="TASK", help="A task, whose [sandbox] requirements are installed."),
    ] = None,
    from_host: Annotated[
        bool,
        typer.Option("--from-host", help="Copy the Python and the packages of this host."),
    ] = False,
    tag: Annotated[
        str, typer.Option(help="The image's name (default: the name that the task uses).")
    ] = "",
    base: Annotated[
        str, typer.Option(metavar="IMAGE", help="Start from this image (default: python:X.Y-slim).")
    ] = "",
    apt: Annotated[
        list[str] | None,
        typer.Option(metavar="PACKAGE", help="A Debian package to add; may be repeated."),
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="COMMAND", help="With --from-host: a command or folder to copy too."
        ),
    ] = None,
) -> None:
    """Build the image in which candidates run."""
    from evolver.runs import assemble
    from evolver.sandboxes import daemon, image
    from evolver.tasks.task import load_task

    if from_host and (base or apt):
        raise UsageError(
            "--from-host copies this host, without --base and --apt; leave out one or the other"
        )
    if with_ and not from_host:
        raise UsageError("--with needs --from-host; for Debian packages use --apt")
    packages = image.wanted_packages((), Path())
    usual = ""
    if task is not None:
        loaded = load_task(task_folder(task))
        packages = assemble.image_packages(loaded)
        usual = loaded.settings.sandbox.image
    usual = usual or image.default_tag(packages)
    tag = tag or usual
    out = console()
    client = daemon.connect()
    try:
        if from_host:
            image.build_from_host(client, tag, packages, out.print, programs=with_ or ())
        else:
            image.build(client, tag, packages, out.print, base=base, apt=apt or ())
    finally:
        client.close()
    named = "" if tag == usual else f" and [sandbox] image = '{tag}' in task.toml"
    out.print(f"{tag} is built; use it with --sandbox docker{named}", soft_wrap=True)
