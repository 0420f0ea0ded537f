"""A command as the model: a coding agent, or any program that reads a prompt and answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from evolver.errors import ModelError, ModelRefused, ModelUnavailable
from evolver.programs import diffs
from evolver.types import Bound, Completion, Files, Prompt

# Environment variables that every command gets, none of them a key; `env` adds others.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR",
              "TZ")  # fmt: skip
_TAIL = 500  # most characters of standard error in an error
_NOT_FOUND = (126, 127)  # exit codes of a shell that could not run the command
_PATH = re.compile(r"(?<![^\s;|&()<>])(?:[\w.-]+/)+[\w.-]+(?![^\s;|&()<>])")  # a relative one
_LATER = 75  # EX_TEMPFAIL of sysexits.h: the command says that it may succeed later
_IN_PLACE = """
The files are in your current directory. Ignore the form of the answer that is asked for above: edit
the files in place, and then say in one sentence what you changed.
"""
# Kills the whole process group when the other end of the pipe closes, because this process died.
# The command runs in a shell without that pipe.
_GUARDED = '(cat /dev/fd/{pipe}; kill -KILL 0) </dev/null >/dev/null 2>&1 & exec sh -c "$1"'


@dataclass(frozen=True)
class CommandModel:
    """Runs a shell command that reads the prompt on its standard input and answers on its output.

    Each call runs in a folder of its own, which holds the program's files and is thrown away. The
    command's environment is the usual one of a shell and nothing else: keys are passed by `env`.
    How many tokens a call used is not known and counts as none. A command that fails has failed
    for this prompt; one that may succeed later says so by its exit code 75.

    Attributes:
        command: as a shell understands it, such as "claude -p" or "llm -m NAME"; a file of the
            task's folder is named by a path with a slash, such as "./model.sh".
        name: of the model, for people.
        edits_in_place: the command edits the files in its folder; what it says is the summary.
        env: names of environment variables that it may see besides the usual ones.
        timeout: seconds after which it is killed, with all that it started.
        price: dollars for one call; None: unknown.
    """

    command: Annotated[str, Field(min_length=1)]
    name: str = "command"
    edits_in_place: bool = False
    env: tuple[str, ...] = ()
    timeout: Annotated[float, Field(gt=0)] = 600.0
    price: Annotated[float, Field(ge=0)] | None = None

    def beside(self, folder: Path, files: Collection[str]) -> CommandModel:
        """Return the model for a task; relative paths in the command are resolved in its folder.

        Args:
            folder: of the task.
            files: that the command finds in its own folder.
        """

        def absolute(word: re.Match[str]) -> str:
            path = folder / word[0]
            is_own = os.path.normpath(word[0]) in files or not path.is_file()
            return word[0] if is_own else shlex.quote(str(path.resolve()))

        return replace(self, command=_PATH.sub(absolute, self.command))

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Run the command once, whatever `n` is.

        Raises:
            ModelUnavailable: it says that it may succeed later.
            ModelRefused: there is no such command.
            ModelError: it failed, was silent, or was killed at the timeout.
        """
        said = f"{prompt.system}\n{prompt.user}"
        if self.edits_in_place:
            said += _IN_PLACE
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="evolver-", ignore_cleanup_errors=True) as folder:
            _write(prompt.files, Path(folder))
            printed = await self._run(said.encode("utf-8", "replace"), folder)
            text = printed.decode("utf-8", "replace")
            if self.edits_in_place:
                text = _edits(text, prompt.files, Path(folder)) or text
        if not text.strip():
            raise ModelError(f"the command {self._short} said nothing")
        seconds = time.monotonic() - started
        return (Completion(text, self.name, dollars=self.price, seconds=seconds),)

    def bound(self, prompt: Prompt, n: int) -> Bound:
        """Return the most that a call can cost: its price, and an unknown number of tokens."""
        return Bound(dollars=self.price)

    @property
    def _short(self) -> str:
        return repr(self.command if len(self.command) <= 60 else self.command[:59] + "…")

    async def _run(self, said: bytes, folder: str) -> bytes:
        """Return what the command prints."""
        names = {*_INHERITED, *self.env}
        environment = {name: value for name, value in os.environ.items() if name in names}
        async with _group(self.command, folder, environment) as process:
            try:
                async with asyncio.timeout(self.timeout):
                    printed, complaints = await process.communicate(said)
            except TimeoutError:
                raise ModelError(
                    f"the command {self._short} did not answer within {self.timeout:g} seconds"
                ) from None
        if process.returncode == 0:
            return printed
        told = complaints.decode("utf-8", "replace").strip()[-_TAIL:]
        sentence = f"the command {self._short} failed ({_how(process.returncode)}): {told}"
        if process.returncode == _LATER:
            raise ModelUnavailable(sentence)
        raise (ModelRefused if process.returncode in _NOT_FOUND else ModelError)(sentence)


def _how(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


@contextlib.asynccontextmanager
async def _group(
    command: str, folder: str, environment: dict[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command in a process group of its own, and kill the group at the end."""
    pipe, guard = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", _GUARDED.format(pipe=pipe), "sh", command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            env=environment,
            pass_fds=(pipe,),
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    finally:
        os.close(pipe)
        os.close(guard)


def _write(files: Files, folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _edits(said: str, files: Files, folder: Path) -> str:
    """Return what the command said, followed by a unified diff of its edits; "" for no edit."""
    edited = dict(files)
    deleted = ""
    for name in files:
        path = folder / name
        if path.is_file():
            edited[name] = path.read_bytes()
        else:
            deleted += f"--- a/{name}\n+++ /dev/null\n"
    diff = diffs.make_unified(files, edited) + deleted
    return f"{diffs.summary(said)}\n\n{diff}" if diff else ""
