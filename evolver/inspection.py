"""What a run of a task would be like, found out before anything is spent on it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
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
from evolver.task import Task, assemble_task
from evolver.types import Evaluation, Executor, Job, Program, Prompt

_MOST_REPEATS = 4  # evaluations of the seed beside the first, half of them with the same inputs
_PATIENCE = 60.0  # seconds for those together, and for a model to answer
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
        noise: objective -> how far evaluations with the same secret inputs are apart, relative to
            the largest; 0 is an exact repetition. Empty where there was no time for a second one.
        variation: the same with other secret inputs.
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
    noise: Mapping[str, float]
    variation: Mapping[str, float]
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
            "noise": dict(self.noise),
            "variation": dict(self.variation),
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


def inspect(task: Task, options: Options = Options()) -> Inspection:  # noqa: B008 - frozen
    """Judge the seed of a task several times, hold the gate, and ask each model once.

    Raises:
        UsageError: what the user can mend, with how.
        SandboxError: this host cannot run candidates.
    """
    configuration = config.resolve(task.settings, options)
    task = assemble_task(task.name, task.root, configuration.task)  # options may change its files
    return in_thread(
        lambda interrupted: unless_interrupted(_inspect(task, configuration.workers), interrupted)
    )


async def _inspect(task: Task, workers: int) -> Inspection:
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
        seed, same, others = await _repeated(executor, program, chance)
        if seed.status == "ok":
            verdicts = await gate.judge_all(executor, program, seed, chance, bad, task.objective)
            first = _first_prompt(task, seed) if endpoints and operators else Prompt("", "")
            tokens = prompts.tokens(f"{first.system}{first.user}")
            answers = list(await asyncio.gather(*(_ask(e, task, tokens) for e in endpoints)))
    finally:
        await executor.close()
        for endpoint in endpoints:
            await endpoint.close()
    return Inspection(
        task=task,
        seed=seed,
        noise=_spread(task, same),
        variation=_spread(task, others),
        seconds=statistics.median(e.seconds for e in (*same, *others[1:])),
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


async def _repeated(
    executor: Executor, program: Program, chance: int
) -> tuple[Evaluation, list[Evaluation], list[Evaluation]]:
    """Judge a program one after the other, as often as there is time for.

    Returns:
        The first evaluation; those with its inputs, itself among them; it and those with others.
    """
    started = time.monotonic()
    first = await executor.evaluate(Job(program, chance))
    same, others = [first], [first]
    rng = Random(chance)
    while first.status == "ok" and len(same) + len(others) < 2 + _MOST_REPEATS:
        now = time.monotonic() - started
        if now + now / (len(same) + len(others) - 1) > _PATIENCE:
            break
        if len(same) <= len(others):
            same.append(await executor.evaluate(Job(program, chance)))
        else:
            others.append(await executor.evaluate(Job(program, rng.getrandbits(63))))
    return first, same, others


def _spread(task: Task, evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Return how far the objectives of some evaluations are apart, relative to the largest."""
    points = [e.metrics for e in evaluations if e.status == "ok"]
    if len(points) < 2:
        return {}
    found = {}
    for name in task.objective.names:
        values = [point[name] for point in points]
        largest = max(map(abs, values))
        found[name] = (max(values) - min(values)) / largest if largest else 0.0
    return found


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
