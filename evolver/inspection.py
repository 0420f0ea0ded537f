"""What a run of a task would be like, found out before anything is spent on it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from evolver import config, gate, prompts
from evolver.assemble import make_endpoints, make_executor, make_operators
from evolver.background import in_thread, unless_interrupted
from evolver.config import Options
from evolver.endpoint import Endpoint, Filing
from evolver.errors import EvolverError, UsageError
from evolver.operators.mix import Weighted
from evolver.preview import at_the_start, preview
from evolver.spread import Spread, repeat
from evolver.task import Task, assemble_task
from evolver.types import Evaluation, Program, Prompt

_PATIENCE = 60.0  # seconds for a model to answer
_QUESTION = Prompt("You are asked whether you are there.", "Answer with the word yes.")


@dataclass(frozen=True)
class Answer:
    """What came of one cheap request to a model.

    Attributes:
        is_asked: False for a model whose answers come by files.
        problem: why there was no answer; "" where there was.
        dollars: what it cost; None: the price is not known.
        prompt_dollars: what the first prompt of a run would cost, its answer aside.
    """

    model: str
    problem: str = ""
    seconds: float = 0.0
    tokens: int = 0
    dollars: float | None = None
    prompt_dollars: float | None = None
    is_asked: bool = True


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        seed: the evaluation of the seed program.
        noise: of evaluations with the same secret inputs.
        variation: of evaluations with others.
        seconds: of one evaluation, the median.
        workers: evaluations at once.
        gate: what became of known-bad programs.
        operators: their names.
        refusal: why there is none; "" where there is.
        answers: of each model.
        prompt_tokens: about how many the first prompt has; 0 without models.
        requests: about how many the budget's evaluations take, one answer and no repair each; 0
            without models or where evaluations have no limit.
    """

    task: Task
    seed: Evaluation
    noise: Spread
    variation: Spread
    seconds: float
    workers: int
    gate: Sequence[gate.Verdict]
    operators: Sequence[str]
    refusal: str
    answers: Sequence[Answer]
    prompt_tokens: int
    requests: int

    @property
    def per_hour(self) -> float:
        """Evaluations an hour, if nothing else takes time."""
        return 3600.0 * self.workers / self.seconds if self.seconds else 0.0

    @property
    def luck(self) -> float:
        """How much better than it is the luckiest program of a run looks, relative to its score."""
        return self.variation.luck(self.evaluations)

    @property
    def evaluations(self) -> int:
        """How many a run of the task has, or would have by default."""
        return self.task.settings.budget.evaluations or config.DEFAULT_EVALUATIONS

    @property
    def limit(self) -> float:
        """Seconds that the evaluation of a child may take."""
        return self.task.settings.evaluator.limit(self.seconds)

    @property
    def problems(self) -> Sequence[str]:
        """What keeps a run from starting, or from being worth it, in sentences."""
        if self.seed.status != "ok":
            return [
                f"the seed program fails its own evaluation ({self.seed.status}); mend the program "
                f"or the evaluator first:\n{self.seed.complaint}"
            ]
        held = gate.complaint(self.gate, self.seed, self.task.objective)
        silent = [f"{a.model} does not answer: {a.problem}" for a in self.answers if a.problem]
        return [*filter(None, (held, self.refusal)), *silent]

    def record(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "task": self.task.name,
            "objectives": dict(self.task.objective.directions),
            "status": self.seed.status,
            "metrics": dict(self.seed.metrics),
            "isolation": self.seed.isolation,
            "trusted": self.seed.trusted,
            "noise": dict(self.noise.largest),
            "variation": dict(self.variation.largest),
            "deviation": dict(self.variation.deviation),
            "inputs": self.variation.evaluations,
            "luck": self.luck,
            "seconds": self.seconds,
            "limit": self.limit,
            "memory": self.seed.memory,
            "workers": self.workers,
            "evaluations_per_hour": round(self.per_hour),
            "gate": gate.record(self.gate, 0.0)["programs"],
            "operators": list(self.operators),
            "models": [vars(answer) for answer in self.answers],
            "prompt_tokens": self.prompt_tokens,
            "requests": self.requests,
            "problems": list(self.problems),
        }


def inspect(
    task: Task,
    options: Options = Options(),  # noqa: B008 - frozen
    tell: Callable[[str], None] = lambda _said: None,
) -> Inspection:
    """Judge the seed of a task several times, hold the gate, and ask each model once.

    Args:
        task: as loaded.
        options: what the user said.
        tell: is given sentences about the progress, on another thread.

    Raises:
        UsageError: what the user can mend, with how.
        SandboxError: this host cannot run candidates.
    """
    configuration = config.resolve(task.settings, options)
    task = assemble_task(task.name, task.root, configuration.task)  # options may change its files
    return in_thread(
        lambda interrupted: unless_interrupted(
            _inspect(task, configuration.workers, tell), interrupted
        )
    )


async def _inspect(task: Task, workers: int, tell: Callable[[str], None]) -> Inspection:
    endpoints = make_endpoints(task)
    operators: Sequence[Weighted] = ()
    refusal = ""
    try:
        operators = make_operators(task, has_model=bool(endpoints))
    except UsageError as error:
        refusal = str(error)  # the rest can be looked at all the same
    bad = gate.bad_programs(task)
    executor = make_executor(task, workers)
    program = Program(0, task.files, task.base)
    chance = Random().getrandbits(63)
    verdicts: list[gate.Verdict] = []
    answers: list[Answer] = []
    tokens = 0
    try:
        await executor.start()
        found = await repeat(executor, program, chance, tell)
        seed = found.first
        if seed.status == "ok":
            tell("judging known-bad programs")
            verdicts = await gate.judge_all(executor, program, seed, chance, bad, task.objective)
            first = _first_prompt(task, seed) if endpoints and operators else Prompt("", "")
            tokens = prompts.tokens(f"{first.system}{first.user}")
            tell("asking the models" if endpoints else "")
            answers = list(await asyncio.gather(*(_ask(e, task, tokens) for e in endpoints)))
    finally:
        await executor.close()
        for endpoint in endpoints:
            await endpoint.close()
    return Inspection(
        task=task,
        seed=seed,
        noise=Spread.of(found.same, task.objective.names),
        variation=Spread.of(found.others, task.objective.names),
        seconds=statistics.median(e.seconds for e in found.same),
        workers=workers,
        gate=verdicts,
        operators=[entry.name for entry in operators],
        refusal=refusal,
        answers=answers,
        prompt_tokens=tokens,
        requests=_requests(task, operators) if endpoints else 0,
    )


def _requests(task: Task, operators: Sequence[Weighted]) -> int:
    is_mixed = not all(entry.needs_model for entry in operators)
    share = task.settings.model_share if is_mixed else 1.0
    return round(share * (task.settings.budget.evaluations or 0))


def _first_prompt(task: Task, seed: Evaluation) -> Prompt:
    return preview(task, at_the_start(task, seed)).prompt


async def _ask(endpoint: Endpoint, task: Task, prompt_tokens: int) -> Answer:
    """Send a model one cheap request, once it is seen to be there.

    A command that edits files in place finds the program's, as in a run.
    """
    model: Any = endpoint.model
    if isinstance(model, Filing):
        return Answer(endpoint.name, is_asked=False)
    started = time.monotonic()
    try:
        async with asyncio.timeout(_PATIENCE):
            await endpoint.check()
            started = time.monotonic()
            (completion, *_) = await endpoint.ask(replace(_QUESTION, files=task.files), 1)
    except TimeoutError:
        return Answer(endpoint.name, f"there was no answer within {_PATIENCE:.0f} s")
    except EvolverError as error:
        return Answer(endpoint.name, str(error))
    prices = getattr(model, "prices", None)
    return Answer(
        endpoint.name,
        seconds=time.monotonic() - started,
        tokens=completion.prompt_tokens + completion.completion_tokens,
        dollars=completion.dollars,
        prompt_dollars=None if prices is None else prices().of(prompt_tokens, 0),
    )
