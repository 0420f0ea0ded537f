"""A worker's process and the pipes to it, on the controller's side."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import secrets
import signal
import socket
import sys
from collections.abc import Mapping
from typing import IO, Any

from evolver.bundled import PACKAGE
from evolver.errors import EvolverError, SandboxError
from evolver.evaluation.executors.output import Output
from evolver.evaluation.messages import HEADER, Begun, Judged, PreflightJob, Ready, Setup
from evolver.types import Job, Preflight

_TAIL = 2000  # bytes of its standard error that are shown when it dies
_GRACE = 1.0  # seconds for a worker with a closed channel to exit

# The variables of the controller's environment that a worker inherits: none of them is a key.
_INHERITED = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV",
    "LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_VISIBLE_DEVICES", "DOCKER_HOST", "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
)  # fmt: skip

# Not -m: the classes of messages must belong to the module of that name. The worker imports the
# controller's evolver. Its place and the current folder, where an evaluator may be, come last in
# sys.path: in a trusted process no file there may hide a module of the standard library.
_BOOT = """
import importlib.util, os, sys
from importlib.machinery import PathFinder
root, controller, end = sys.argv[1:]
spec = PathFinder.find_spec("evolver", [root])
sys.modules["evolver"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["evolver"])
sys.path += [root, os.getcwd()]
from evolver.evaluation.worker import main
main(int(controller), end.encode())
"""


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker: no keys, and one thread for each library."""
    kept = {name: environment[name] for name in _INHERITED if name in environment}
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**kept, **dict.fromkeys(threads, "1"), "PYTHONHASHSEED": "0"}


class WorkerDied(Exception):  # noqa: N818 - named after the event
    """A worker died during a job.

    Attributes:
        begun: evaluations of the job that it had begun; at 0 it may never have read the job.
    """

    def __init__(self, message: str, begun: int) -> None:
        super().__init__(message)
        self.begun = begun


class WorkerOverdue(Exception):  # noqa: N818
    """A worker did not finish an evaluation in time.

    Attributes:
        begun: evaluations of the job that it had begun.
    """

    def __init__(self, begun: int) -> None:
        super().__init__()
        self.begun = begun


class Worker:
    """One worker process; made by `start`."""

    ready: Ready

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        errors: tuple[asyncio.StreamReader, asyncio.ReadTransport],
        output: Output,
        end: bytes,
    ) -> None:
        self.process = process
        self._reader, self._writer = streams
        self._errors, self._error_pipe = errors
        self._output = output
        self._end_of_output = end
        self._is_quiet = asyncio.Event()
        self._recent = b""
        self._relaying = asyncio.create_task(self._relay())

    @classmethod
    async def start(cls, log: IO[bytes] | None, shown: set[str] | None = None) -> Worker:
        """Start a process; `introduce` tells it what it needs.

        Args:
            log: where its standard error goes; None for this process's own.
            shown: see `Output`.
        """
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        errors, their_errors = os.pipe()
        end = f"\0{secrets.token_hex(8)}\n"
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-c",
                _BOOT,
                str(PACKAGE.parent),
                str(os.getpid()),
                end.strip("\0\n"),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=their_errors,
                env=worker_environment(os.environ),
                start_new_session=True,  # Ctrl-C in the terminal reaches the controller alone
            )
        except BaseException:
            ours.close()
            os.close(errors)
            raise
        finally:
            theirs.close()
            os.close(their_errors)
        streams = await asyncio.open_connection(sock=ours)
        reader = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(errors, "rb")
        )
        return cls(process, streams, (reader, transport), Output(log, shown), end.encode())

    async def _relay(self) -> None:
        """Read the worker's output, and note the mark after that of each job."""
        held = b""
        while piece := await self._errors.read(1 << 16):
            *parts, held = (held + piece).split(self._end_of_output)
            # The beginning of a mark may be the end of what has come so far.
            start = held.rfind(b"\0")
            is_begun = start >= 0 and self._end_of_output.startswith(held[start:])
            rest = held if not is_begun else held[:start]
            held = held[len(rest) :]
            for part in parts:
                self._take(part)
                self._is_quiet.set()
            self._take(rest)
        self._take(held)
        self._output.end()

    def _take(self, piece: bytes) -> None:
        self._recent = (self._recent + piece)[-_TAIL:]
        self._output.feed(piece)

    async def _until_quiet(self) -> None:
        """Wait for the output of the job whose answer has arrived."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_quiet.wait(), _GRACE)
        self._output.end()

    async def introduce(self, setup: Setup, timeout: float) -> None:
        """Send the setup and wait until the worker is ready.

        Raises:
            UsageError: the evaluator cannot be loaded.
            SandboxError: the sandbox cannot be started, or the worker died or took too long.
        """
        try:
            self._send(setup)
            answer = await asyncio.wait_for(self._receive(), timeout)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise SandboxError(
                f"an evaluator worker died at its start: {await self.ending()}"
            ) from error
        except TimeoutError:
            raise SandboxError(
                f"an evaluator worker was not ready within {timeout:g} s; look at what the "
                f"evaluator imports and [sandbox] preload, and at this host's load{self._tail()}"
            ) from None
        await self._until_quiet()
        if isinstance(answer, EvolverError):
            raise answer
        self.ready = answer

    async def evaluate(self, job: Job, timeout: float) -> Judged:
        """Send a job; return the answer.

        Args:
            job: the program.
            timeout: seconds for each evaluation of the job.

        Raises:
            WorkerDied: it cannot be used again.
            WorkerOverdue: it cannot be used again either.
            EvolverError: raised in the worker; the run must stop.
        """
        answer = await self._ask(job, job, timeout)
        assert isinstance(answer, Judged)
        return answer

    async def preflight(self, job: Job, timeout: float) -> Preflight:
        """Ask for a pre-flight of a program, within `timeout` seconds.

        Raises:
            WorkerDied, WorkerOverdue, EvolverError: as `evaluate`.
        """
        answer = await self._ask(PreflightJob(job), job, timeout)
        assert isinstance(answer, Preflight)
        return answer

    async def _ask(self, message: object, job: Job, timeout: float) -> Any:
        begun = 0
        self._recent = b""
        self._is_quiet.clear()
        number = job.program.id
        self._output.end(f"program {number}" if number >= 0 else "gate")
        try:
            self._send(message)
            while True:
                answer = await asyncio.wait_for(self._receive(), timeout)
                if not isinstance(answer, Begun):
                    break
                begun = answer.evaluations
        except (ConnectionError, asyncio.IncompleteReadError):
            raise WorkerDied(await self.ending(), begun) from None
        except TimeoutError:
            raise WorkerOverdue(begun) from None
        await self._until_quiet()
        if isinstance(answer, EvolverError):
            raise answer
        return answer

    def _send(self, message: object) -> None:
        content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        self._writer.write(HEADER.pack(len(content)) + content)

    async def _receive(self) -> Any:
        header = await self._reader.readexactly(HEADER.size)
        return pickle.loads(await self._reader.readexactly(HEADER.unpack(header)[0]))

    async def ending(self) -> str:
        """Describe how a worker that closed its channel ended, with the end of its output."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), _GRACE)
        code = self.process.returncode
        if code is None:
            end = "it closed its channel"
        elif code < 0:
            end = f"killed by {signal.Signals(-code).name}"
        else:
            end = f"exit code {code}"
        await asyncio.wait([self._relaying], timeout=_GRACE)
        return end + self._tail()

    def _tail(self) -> str:
        text = self._recent.decode("utf-8", "replace").strip()
        return f"; its last output:\n{text}" if text else ", without output"

    async def end(self) -> None:
        """Kill it and its sandbox; return when it is dead and its pipes are closed."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
        await self.process.wait()
        # A process that the evaluator started may keep the other end open.
        await asyncio.wait([self._relaying], timeout=_GRACE)
        self._relaying.cancel()
        self._error_pipe.close()
