"""Judge a program of a task without a run."""

from __future__ import annotations

import asyncio
import secrets

from evolver.runs.assemble import make_executor
from evolver.runs.background import in_thread, unless_interrupted
from evolver.tasks.task import Task
from evolver.types import Evaluation, Files, Job, Program


def judge(
    task: Task,
    files: Files | None = None,
    *,
    seed: int | None = None,
    is_confirmation: bool = False,
) -> Evaluation:
    """Judge one program of a task through the whole path; by default its seed program.

    Args:
        task: the task.
        files: of the program.
        seed: of the secret inputs; None: a random one.
        is_confirmation: measure it as a run confirms its front.

    Raises:
        UsageError: the evaluator cannot be loaded.
        SandboxError: this host cannot run candidates.
    """

    async def work(interrupted: asyncio.Event) -> Evaluation:
        executor = make_executor(task, 1)
        program = (
            Program(0, task.files, task.base) if files is None else Program(-1, files, task.base)
        )
        drawn = secrets.randbits(63) if seed is None else seed
        job = Job(program, drawn, is_confirmation=is_confirmation)

        async def measure() -> Evaluation:
            await executor.start()
            return await executor.evaluate(job)

        try:
            return await unless_interrupted(measure(), interrupted)
        finally:
            await executor.close()

    return in_thread(work)
