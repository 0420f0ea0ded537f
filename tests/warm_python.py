"""Processes that have their libraries already, for tests that run many short commands.

Most of a short command's time goes into the import of libraries. One process of each session has
imported them and forks for each command (the fork server of `multiprocessing`). It has no module of
evolver: each command imports these anew.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

_LIBRARIES = (
    "asyncio", "git", "jinja2.sandbox", "libcst.metadata", "numpy", "openai",
    "packaging.requirements", "plotly.graph_objects", "rich.live", "rich.progress_bar",
    "rich.syntax", "rich.table", "sqlite3", "typer._adapters", "typer.main",
)  # fmt: skip
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(list(_LIBRARIES))


def run_module(
    name: str, *words: str, folder: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run `python -m name words` in a folder to its end.

    Raises:
        subprocess.TimeoutExpired: it took longer than `timeout` seconds, and was killed.
    """
    command = [sys.executable, "-m", name, *words]
    with tempfile.TemporaryDirectory() as made:
        outputs = [Path(made, stream) for stream in ("stdout", "stderr")]
        process = _SERVER.Process(
            target=_become, args=(command[2:], str(folder), dict(environment), outputs)
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(command, timeout)
        code = process.exitcode
        process.close()
        stdout, stderr = (path.read_text() for path in outputs)
    return subprocess.CompletedProcess(command, code, stdout, stderr)


def _become(
    argv: list[str], folder: str, environment: Mapping[str, str], outputs: list[Path]
) -> None:
    """Make this process what `python -m` would be, and run the module."""
    made = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    places = [(os.devnull, os.O_RDONLY), *((path, made) for path in outputs)]
    for number, (path, flags) in enumerate(places):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = False
    sys.path[:] = [folder, *(path for path in sys.path if path != str(Path(__file__).parent))]
    sys.argv = argv
    try:
        runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # multiprocessing ends processes without these
