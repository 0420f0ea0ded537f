"""The command line. Commands import heavy modules when they run, so `evolver --help` is quick.

Exit codes: 0; 1 if a replay differs; 2 for an error, with one sentence that says what to do; 130
after Ctrl-C or SIGTERM; 141 if the reader of the output stops reading.
With `--json` a command prints one JSON object as the last line of its standard output, and text
for people to standard error.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from evolver.cli import (
    answer,
    apply,
    doctor,
    init,
    prompt,
    rerunning,
    results,
    running,
    sandbox,
    tasks,
)
from evolver.cli.output import print_json, say
from evolver.cli.wrong_words import WrongWords, sentence
from evolver.errors import EvolverError


class _Interrupted(Exception):  # noqa: N818 - not an error
    """Ctrl-C or SIGTERM."""


class _Unread(Exception):  # noqa: N818
    """The reader of the output stopped reading, as in `evolver export | head`."""


class _Root(TyperGroup):
    """Runs a command, and passes on to `main` the errors for which typer would exit."""

    def make_context(self, *words: Any, **settings: Any) -> Any:
        with _passed_on():
            return super().make_context(*words, **settings)

    def invoke(self, ctx: Any) -> Any:
        with _passed_on():
            return super().invoke(ctx)


@contextlib.contextmanager
def _passed_on() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise _Interrupted from error
    except BrokenPipeError as error:
        raise _Unread from error


app = typer.Typer(
    name="evolver",
    cls=_Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help loads quickly and is the same on every terminal
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: evolver run examples/exp2",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(f"evolver {version('evolver')}")
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
    prompt.prompt,
    answer.answer,
    tasks.tasks,
    init.init,
    apply.apply,
    doctor.doctor,
):
    app.command()(_command)

app.add_typer(sandbox.app)


def main() -> None:
    """Run the command line. An error that the user can fix is one sentence, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # characters that its encoding lacks
            stream.reconfigure(errors="backslashreplace")
    with contextlib.suppress(ValueError):  # raised outside the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        code = _run()
        sys.stdout.flush()
    except (_Unread, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes it at exit
        code = 128 + signal.SIGPIPE
    sys.exit(code)


def _run() -> int:
    try:
        return app(prog_name="evolver", standalone_mode=False) or 0
    except EvolverError as error:
        if os.environ.get("EVOLVER_DEBUG"):
            raise
        return _fail(f"evolver: {error}", str(error), 2)
    except WrongWords as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            return 2
        return _fail(f"evolver: {sentence(error)}", sentence(error), 2)
    except (_Interrupted, KeyboardInterrupt, typer.Abort):
        return _fail("evolver: interrupted", "interrupted", 130)


def _fail(said: str, error: str, code: int) -> int:
    say(said, err=True)
    if "--json" in sys.argv:
        print_json({"error": error})
    return code
