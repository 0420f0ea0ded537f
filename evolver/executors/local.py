"""Local evaluator workers: one warm process per evaluation slot."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from evolver.errors import EvolverError, SandboxError
from evolver.types import Evaluation, Job
from evolver.worker import HEADER, Ready, Setup

_GRACE = 5.0  # seconds past a job's own deadline before its worker is killed
_START = 120.0  # seconds for a worker to import its evaluator and start its sandbox

# What a worker may know of the controller's environment: no key is among it.
_INHERITED = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV",
    "LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_VISIBLE_DEVICES",
)  # fmt: skip


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker: what it needs, one thread per library, no keys."""
    kept = {name: environment[name] for name in _INHERITED if name in environment}
    package_root = str(Path(__file__).resolve().parents[2])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [kept.get("PYTHONPATH"), package_root]))
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**kept, **dict.fromkeys(threads, "1"), "PYTHONHASHSEED": "0"}


@dataclass(eq=False)
class _Worker:
    """A worker process and the pipes to it."""

    process: asyncio.subprocess.Process
    ready: Ready

    async def ask(self, message: object) -> Any:
        """Send a message and return the answer; None where the process died."""
        assert self.process.stdin is not None
        try:
            _write(self.process.stdin, message)
            return await _answer(self.process)
        except (ConnectionError, asyncio.IncompleteReadError):
            return None


def _write(stream: asyncio.StreamWriter, message: object) -> None:
    content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(HEADER.pack(len(content)) + content)


async def _answer(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    header = await process.stdout.readexactly(HEADER.size)
    return pickle.loads(await process.stdout.readexactly(HEADER.unpack(header)[0]))


class LocalExecutor:
    """Judges programs in `slots` warm local processes.

    A worker that does not answer in time, or dies, is killed and replaced: its program counts as
    timed out or crashed.
    """

    def __init__(self, setup: Setup, slots: int, log: IO[bytes] | int | None = None) -> None:
        """Prepare; `start` starts the processes.

        Args:
            setup: what every worker is told.
            slots: how many workers.
            log: where their standard error goes.
        """
        self.slots = slots
        self._setup = setup
        self._log = log
        self._idle: asyncio.Queue[_Worker | None] = asyncio.Queue()
        self._workers: set[_Worker] = set()
        self._ending: set[asyncio.Future[None]] = set()

    async def start(self) -> Ready:
        """Start the first worker and return what it tells; the others start when needed.

        Raises:
            UsageError: the evaluator cannot be loaded.
            SandboxError: the sandbox cannot be started.
        """
        first = await self._spawn()
        self._idle.put_nowait(first)
        for _ in range(self.slots - 1):
            self._idle.put_nowait(None)  # a free slot without a process yet
        return first.ready

    async def _spawn(self) -> _Worker:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",  # not -m: the messages' classes must belong to the module of that name
            "from evolver.worker import main; main()",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log,
            env=worker_environment(os.environ),
            start_new_session=True,  # Ctrl-C in the terminal reaches the controller alone
        )
        assert process.stdin is not None
        try:
            _write(process.stdin, self._setup)
            answer = await asyncio.wait_for(_answer(process), _START)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            await _end(process)
            raise SandboxError(
                f"an evaluator worker died at its start (exit code {process.returncode}); "
                "its last words are in run.log"
            ) from error
        except (TimeoutError, asyncio.CancelledError):
            await _end(process)
            raise
        if isinstance(answer, EvolverError):
            await _end(process)
            raise answer
        worker = _Worker(process, answer)
        self._workers.add(worker)
        return worker

    async def evaluate(self, job: Job) -> Evaluation:
        """Judge one program, as soon as a slot is free.

        Raises:
            SandboxError: this host cannot run candidates.
        """
        worker = await self._idle.get()
        healthy = False
        try:
            worker = worker or await self._spawn()
            limit = 0 if job.tune is None or worker.ready.fits_residuals else job.tune.limit
            deadline = self._setup.timeout * (1 + limit) + _GRACE
            answer = await asyncio.wait_for(worker.ask(job), deadline)
            healthy = isinstance(answer, Evaluation)
        except TimeoutError:
            answer = Evaluation(
                "timeout",
                feedback=f"the evaluator itself did not return within {deadline:.0f} s",
                seconds=deadline,
                fault="evaluator",
            )
        finally:  # also when this coroutine is cancelled: a busy worker is of no use to others
            if worker is not None and not healthy:
                self._drop(worker)
            self._idle.put_nowait(worker if healthy else None)
        if isinstance(answer, EvolverError):
            raise answer
        if answer is None:
            return Evaluation(
                "crashed",
                feedback="the evaluator's own process died; its last words are in run.log",
                fault="evaluator",
            )
        assert isinstance(answer, Evaluation)
        return answer

    def _drop(self, worker: _Worker) -> None:
        self._workers.discard(worker)
        reaping = asyncio.ensure_future(_end(worker.process))
        self._ending.add(reaping)
        reaping.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End every worker at once, whatever it is doing."""
        for worker in list(self._workers):
            self._drop(worker)
        await asyncio.gather(*self._ending)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill a worker, whose sandbox dies with it, and wait until its pipes are closed."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    with contextlib.suppress(ConnectionError):
        await process.communicate()
