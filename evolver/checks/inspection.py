"""Examine a task before a run: the seed, its noise, the gate, the models."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from random import Random
from typing import Any

from evolver import prompts
from evolver.checks.preview import at_the_start, operators_that_ask, preview
from evolver.checks.spread import Spread, repeat
from evolver.errors import EvolverError, ModelAdapted, ModelError, UsageError
from evolver.evaluation import auditing
from evolver.operators.mix import Weighted
from evolver.ports import Filing, Operator, Priced
from evolver.routing.endpoint import Endpoint
from evolver.runs import config
from evolver.runs.assemble import make_endpoints, make_executor, make_operators
from evolver.runs.background import in_thread, unless_interrupted
from evolver.runs.config import Options
from evolver.search import gate
from evolver.search.formatting import advice_on_empty
from evolver.storage.totals import Bill
from evolver.tasks.task import Task, assemble_task
from evolver.types import Completion, Context, Evaluation, Prices, Program, Prompt

_PATIENCE = 60.0  # seconds for a model to answer
_MOST_REQUESTS = 8  # of one trial edit, those included that teach how the endpoint is asked


@dataclass(frozen=True)
class Answer:
    """The result of asking a model for one edit of the seed.

    Attributes:
        is_asked: False for a model whose answers come in files.
        problem: why there was no answer, or an empty one; "" if it answered.
        flaw: why the edit of its answer cannot be applied; "" if it can.
        notes: how the model must be asked, in sentences.
        dollars: the cost; None: the price is unknown.
        prompt_dollars: the cost of the first prompt of a run, without its answer.
    """

    model: str
    problem: str = ""
    flaw: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    tokens: int = 0
    dollars: float | None = None
    prompt_dollars: float | None = None
    is_asked: bool = True


@dataclass(frozen=True)
class Inspection:
    """The results of examining a task.

    Attributes:
        seed: the evaluation of the seed program.
        noise: spread of evaluations with the same secret inputs.
        variation: spread of evaluations with different ones.
        seconds: the median of one evaluation.
        workers: evaluations at once.
        gate: the verdicts on known-bad programs.
        operators: their names.
        refusal: why there are none; "" if there are.
        answers: of each model.
        prompt_tokens: of the first prompt, roughly; 0 without models.
        requests: roughly how many the budget's evaluations take, one answer and no repair each; 0
            without models or without a limit of evaluations.
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
        """Evaluations an hour, if only they take time."""
        return 3600.0 * self.workers / self.seconds if self.seconds else 0.0

    @property
    def luck(self) -> float:
        """How far luck raises the best score of a run, relative to the score."""
        return self.variation.luck(self.evaluations)

    @property
    def evaluations(self) -> int:
        """The evaluations of a run of the task, or their default number."""
        return self.task.settings.budget.evaluations or config.DEFAULT_EVALUATIONS

    @property
    def limit(self) -> float:
        """Most seconds for the evaluation of a child."""
        return self.task.settings.evaluator.limit(self.seconds)

    @property
    def problems(self) -> Sequence[str]:
        """Reasons why a run cannot start, or cannot succeed, in sentences."""
        if self.seed.status != "ok":
            return [
                f"the seed program fails its own evaluation ({self.seed.status}); correct the "
                f"program or the evaluator first:\n{self.seed.complaint}"
            ]
        held = gate.complaint(self.gate, self.seed, self.task.objective)
        silent = [f"{a.model} gives no answer: {a.problem}" for a in self.answers if a.problem]
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
            "timing": auditing.record(self.seed.references),
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
    """Judge the seed of a task several times and known-bad programs; ask each model for one edit.

    Args:
        task: as loaded.
        options: the user's.
        tell: called with sentences about the progress, on another thread.

    Raises:
        UsageError: an error that the user can correct; the message says how.
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
        refusal = str(error)  # the other checks go on
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
            if endpoints and operators:
                tell("asking the models for an edit")
                context = at_the_start(task, seed)
                first = preview(task, context).prompt
                tokens = prompts.tokens(f"{first.system}{first.user}")
                operator = _first_operator(task)
                asked = (_ask(e, operator, context, tokens) for e in endpoints)
                answers = list(await asyncio.gather(*asked))
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


def _first_operator(task: Task) -> Operator:
    """Return the operator of the first prompt; it asks once and repairs nothing."""
    operator: Any = next(iter(operators_that_ask(task).values()))
    can_repair = any(field.name == "repairs" for field in fields(operator))
    found: Operator = replace(operator, repairs=0) if can_repair else operator
    return found


@dataclass
class _Trial:
    """A model for one operator: asks an endpoint, and keeps answers and lessons."""

    endpoint: Endpoint
    answers: list[Completion] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Ask, and ask again in another way if the endpoint refuses how it was asked."""
        for _ in range(_MOST_REQUESTS):
            try:
                answers = await self.endpoint.ask(prompt, n)
            except ModelAdapted as error:
                self.notes += filter(None, [error.lesson])
            else:
                self.answers += answers
                return answers
        raise ModelError(f"{self.endpoint.name} refuses every request")


async def _ask(
    endpoint: Endpoint, operator: Operator, context: Context, prompt_tokens: int
) -> Answer:
    """Check that a model answers, and have an operator ask it for an edit of the seed."""
    name, model = endpoint.name, endpoint.model
    if isinstance(model, Filing):
        return Answer(name, is_asked=False)
    trial, flaw = _Trial(endpoint), ""
    started = time.monotonic()
    try:
        async with asyncio.timeout(_PATIENCE):
            await endpoint.check()
            started = time.monotonic()
            await operator.propose(replace(context, rng=Random(0), model=trial))
    except TimeoutError:
        return Answer(name, f"there was no answer within {_PATIENCE:.0f} s")
    except EvolverError as error:
        if not trial.answers:
            return Answer(name, str(error), notes=tuple(trial.notes))
        flaw = str(error)
    bill = Bill.of_answers(trial.answers)
    prices = model.prices() if isinstance(model, Priced) else Prices()
    return Answer(
        name,
        problem=f"an empty one came: {advice_on_empty(bill.exhausted > 0)}" if bill.empty else "",
        flaw=flaw,
        notes=tuple(trial.notes),
        seconds=time.monotonic() - started,
        tokens=bill.tokens,
        dollars=bill.dollars,
        prompt_dollars=prices.of(prompt_tokens, 0),
    )
