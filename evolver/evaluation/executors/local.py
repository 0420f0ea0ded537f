"""Local evaluator workers: one warm process per evaluation slot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import IO, TypeVar

from evolver.errors import SandboxError
from evolver.evaluation.executors.process import Worker, WorkerDied, WorkerOverdue
from evolver.evaluation.messages import Judged, Ready, Setup
from evolver.evaluation.preflight import LIMIT
from evolver.types import Evaluation, Job, Preflight, Program

_GRACE = 5.0  # seconds past an evaluation's own deadline before its worker is killed
_T = TypeVar("_T")
_CLOSED = "this executor is closed; make another one"


class LocalExecutor:
    """Judges programs in `slots` warm local processes.

    A worker that dies or does not answer in time is killed and replaced; its program counts as
    crashed or timed out.
    """

    def __init__(
        self,
        setup: Setup,
        slots: int,
        log: IO[bytes] | None = None,
        *,
        start_timeout: float = 120.0,
    ) -> None:
        """Prepare; `start` starts the processes.

        Args:
            setup: sent to every worker.
            slots: the number of workers.
            log: receives their standard error; None: this process's standard error does.
            start_timeout: seconds for a worker to import its evaluator and start its sandbox.
        """
        self.slots = slots
        self._setup = setup
        self._log = log
        self._shown: set[str] = set()  # what all workers printed, where there is no log
        self._start_timeout = start_timeout
        self._idle: asyncio.Queue[tuple[int, Worker | None]] = asyncio.Queue()
        self._workers: set[Worker] = set()
        self._ending: set[asyncio.Future[None]] = set()
        self._is_closed = False

    async def start(self) -> Ready:
        """Start the first worker and return its description; the others start when needed.

        Raises:
            UsageError: the evaluator cannot be loaded.
            SandboxError: the sandbox cannot be started.
        """
        first = await self._spawn(0)
        self._idle.put_nowait((0, first))
        for slot in range(1, self.slots):
            self._idle.put_nowait((slot, None))  # a free slot without a process yet
        return first.ready

    def _setup_of(self, slot: int) -> Setup:
        """Return the setup of a slot's worker, with one of the GPUs."""
        sandbox = self._setup.sandbox
        return replace(self._setup, sandbox=replace(sandbox, gpus=sandbox.gpus[slot : slot + 1]))

    async def _spawn(self, slot: int) -> Worker:
        if self._is_closed:
            raise SandboxError(_CLOSED)
        worker = await Worker.start(self._log, self._shown)
        self._workers.add(worker)
        try:
            await worker.introduce(self._setup_of(slot), self._start_timeout)
        except BaseException:
            self._drop(worker)
            raise
        return worker

    async def evaluate(self, job: Job) -> Evaluation:
        """Judge one program, as soon as a slot is free.

        Raises:
            SandboxError: this host cannot run candidates, or `close` was called.
        """
        return (await self._judged(job)).evaluation

    async def tune(self, job: Job) -> tuple[Program, Evaluation]:
        """Fit the literals of a program and judge it, as soon as a slot is free.

        Raises:
            SandboxError: as `evaluate`.
        """
        judged = await self._judged(job)
        files = job.program.files if judged.files is None else judged.files
        return replace(job.program, files=files), judged.evaluation

    async def _judged(self, job: Job) -> Judged:
        timeout = self._setup.timeout + _GRACE
        started = time.monotonic()
        try:
            return await self._by_a_worker(lambda worker: worker.evaluate(job, timeout))
        except WorkerDied as death:
            evaluation = Evaluation(
                "crashed",
                feedback=f"the evaluator's own process died ({death})",
                fault="evaluator",
                evaluations=max(1, death.begun),
            )
        except WorkerOverdue as overdue:
            evaluation = Evaluation(
                "timeout",
                feedback=f"the evaluator itself did not return within {timeout:.0f} s",
                seconds=time.monotonic() - started,
                fault="evaluator",
                evaluations=max(1, overdue.begun),
            )
        return Judged(evaluation)

    async def preflight(self, job: Job) -> Preflight:
        """Import a program, smoke-run and probe it, as soon as a slot is free.

        Raises:
            SandboxError: as `evaluate`.
        """
        timeout = 2 * LIMIT + _GRACE
        try:
            return await self._by_a_worker(lambda worker: worker.preflight(job, timeout))
        except (WorkerDied, WorkerOverdue) as death:
            return Preflight(f"the evaluator's own process failed: {death}", fault="evaluator")

    async def _by_a_worker(self, ask: Callable[[Worker], Awaitable[_T]]) -> _T:
        """Send a request to an idle worker; replace the worker if it fails.

        Raises:
            WorkerDied: it died during the request.
            WorkerOverdue: it did not answer in time.
            SandboxError: this host cannot run candidates, or `close` was called.
        """
        slot, worker = await self._idle.get()
        is_healthy = False
        try:
            worker = worker or await self._spawn(slot)
            try:
                answer = await ask(worker)
            except WorkerDied as death:
                if death.begun:
                    raise
                self._drop(worker)  # it died before it read this job
                worker = await self._spawn(slot)
                answer = await ask(worker)
            is_healthy = True
        except WorkerDied as death:
            if self._is_closed:
                raise SandboxError(_CLOSED) from death
            raise
        finally:  # also when this coroutine is cancelled: a busy worker cannot be reused
            if worker is not None and not is_healthy:
                self._drop(worker)
            self._idle.put_nowait((slot, worker if is_healthy else None))
        return answer

    def _drop(self, worker: Worker) -> None:
        if worker not in self._workers:
            return
        self._workers.discard(worker)
        ending = asyncio.ensure_future(worker.end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Kill every worker at once."""
        self._is_closed = True
        for worker in list(self._workers):
            self._drop(worker)
        if self._ending:
            await asyncio.wait(self._ending)
