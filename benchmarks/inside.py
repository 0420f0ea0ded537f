"""A run whose programs are judged in forks of this process, where a sandbox would only cost time.

Engine, population, operators and credit are the real ones, as is the record of the run. These
programs come of seeds that do no harm: limits of time and memory are all that confines them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from evolver.runs import config
from evolver.runs.assemble import make_operators
from evolver.runs.config import Options
from evolver.runs.sessions import make_parts
from evolver.search.engine import Engine
from evolver.storage.facts import Outcome
from evolver.storage.store import Store
from evolver.tasks.objective import Objective
from evolver.tasks.task import load_task
from evolver.types import Elite, Evaluation, Job, Preflight, Program

_SECONDS = 0.5  # of one evaluation
_MEMORY = 2**31  # bytes


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the main thread after some seconds: children loop for ever."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


@dataclass(frozen=True)
class Called:
    """What a scoring function sees of a program: its functions, and chance."""

    functions: dict[str, Any]
    rng: Random

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the program."""
        return self.functions[name](*arguments)


@dataclass
class InsideExecutor:
    """Judges programs of one file by a scoring function, both in forks of this process."""

    score: Callable[[Called], dict[str, float]]
    objective: Objective
    slots: int = 2

    async def evaluate(self, job: Job) -> Evaluation:
        """Judge one program in a fork, which ends with all that the program made."""
        end, start = os.pipe()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException), os.fdopen(start, "w") as answer:
                resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
                resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
                json.dump(self.judged(job), answer)
            os._exit(0)
        os.close(start)
        with os.fdopen(end) as answer:
            said = answer.read()
        os.waitpid(child, 0)
        status, found = json.loads(said or '["timeout", ""]')  # the kernel has ended it
        if status != "ok":
            return Evaluation(status, feedback=found, fault="candidate")
        return Evaluation("ok", metrics=found, objectives=self.objective.objectives(found))

    def judged(self, job: Job) -> tuple[str, dict[str, float] | str]:
        """Return the status of a program and its metrics, or what it raised."""
        (source,) = job.program.files.values()
        functions: dict[str, Any] = {}
        try:
            with deadline(_SECONDS):
                exec(compile(source, "program.py", "exec"), functions)
                return "ok", self.score(Called(functions, Random(job.seed)))
        except TimeoutError:
            return "timeout", ""
        except Exception as error:  # noqa: BLE001 - a child may raise anything
            return "crashed", repr(error)

    async def tune(self, job: Job) -> tuple[Program, Evaluation]:
        """Judge one program as it is."""
        return job.program, await self.evaluate(job)

    async def preflight(self, job: Job) -> Preflight:
        """Let every program pass."""
        return Preflight()

    async def close(self) -> None:
        """Nothing to end."""


@dataclass(frozen=True)
class Inside:
    """What came of a run: what it announces, and everything that was judged."""

    best: Elite
    outcomes: list[Outcome]


def run_inside(folder: Path, score: str, *, evaluations: int, seed: int) -> Inside:
    """Evolve the program of a task's folder; `score` is the source of its scoring function.

    With the same seed the same comes of it.
    """
    options = Options(evaluations=evaluations, seed=seed, workers=2, deterministic=True)
    task = load_task(folder)
    configuration = config.resolve(task.settings, options)
    scoring: dict[str, Any] = {}
    exec(score, scoring)
    directory = folder.parent / "run"
    directory.mkdir()
    seed_files = {name: b64encode(content).decode() for name, content in task.files.items()}
    facts = {"task": task.name, "secret": "", "seeds": [seed_files]}
    executor = InsideExecutor(scoring["evaluate"], task.objective)

    async def work(store: Store) -> Inside:
        operators = make_operators(task, has_model=False)
        engine = Engine(make_parts(task, configuration, store, executor, operators, []))
        await engine.run()
        await engine.confirm()
        best = engine.population.best()
        assert best is not None
        return Inside(best, list(store.outcomes()))

    with contextlib.closing(Store.create(directory, facts, "")) as store:
        return asyncio.run(work(store))
