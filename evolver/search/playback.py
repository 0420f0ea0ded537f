"""The executor and model of a replay: it answers from the record and notes the prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evolver.errors import ProposalError
from evolver.operators.mix import Weighted
from evolver.ports import Conditional, Operator, Repairing
from evolver.storage.facts import Outcome
from evolver.types import (
    Completion,
    Context,
    Evaluation,
    Job,
    Model,
    Preflight,
    Program,
    Prompt,
    Proposal,
)


class Playback:
    """Executor and model at once: gives the recorded answers for the attempt that is run.

    Attributes:
        outcome: the recorded outcome of that attempt.
        heard: the prompts of its operator so far.
        jobs: all evaluations that were asked for, with the stored results.
    """

    slots = 1

    def __init__(self) -> None:
        """Start without an attempt."""
        self.outcome: Outcome | None = None
        self.heard: list[Prompt] = []
        self.jobs: list[tuple[Job, Evaluation]] = []

    def wind(self, outcome: Outcome) -> None:
        """Go to another attempt."""
        self.outcome = outcome
        self.heard = []

    async def evaluate(self, job: Job) -> Evaluation:
        """Return the stored evaluation, even if the program differs now."""
        assert self.outcome is not None
        evaluation, program = self.outcome.evaluation, self.outcome.program
        if evaluation is None or program is None:
            return Evaluation("crashed", feedback="it was never judged", fault="evaluator")
        self.jobs.append((job, evaluation))
        return evaluation

    async def tune(self, job: Job) -> tuple[Program, Evaluation]:
        """Return the stored program's files and evaluation, even if the program differs now."""
        assert self.outcome is not None
        stored, proposed = self.outcome.program, self.outcome.proposed
        program = job.program
        if stored is not None and proposed is not None and stored.files != proposed:
            program = replace(program, files=stored.files)
        return program, await self.evaluate(job)

    async def preflight(self, job: Job) -> Preflight:
        """Return a pre-flight without a result: the others are in the store."""
        return Preflight(fault="timeout")

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Refuse: the answers are in the store.

        Raises:
            ProposalError: with the recorded reason.
        """
        assert self.outcome is not None
        is_unproposed = self.outcome.verdict == "unproposed"
        reason = self.outcome.reason if is_unproposed else self.outcome.repair_failure
        raise ProposalError(reason or "no answer to this is recorded")

    async def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class _Overheard:
    """A model whose prompts are noted."""

    model: Model
    heard: list[Prompt]

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Note a prompt and pass it on."""
        self.heard.append(prompt)
        return await self.model.complete(prompt, n)


@dataclass(frozen=True)
class _Watched:
    """An operator whose prompts are noted."""

    operator: Operator
    playback: Playback

    async def propose(self, context: Context) -> Proposal:
        """Propose as the operator does."""
        return await self.operator.propose(self._overheard(context))

    def can_propose(self, context: Context) -> bool:
        """Tell whether the operator could find a child."""
        return not isinstance(self.operator, Conditional) or self.operator.can_propose(context)

    def _overheard(self, context: Context) -> Context:
        if context.model is None:
            return context
        return replace(context, model=_Overheard(context.model, self.playback.heard))


@dataclass(frozen=True)
class _WatchedRepairing(_Watched):
    """A watched operator that can repair."""

    async def repair(self, context: Context, proposal: Proposal, complaint: str) -> Proposal:
        """Repair as the operator does."""
        assert isinstance(self.operator, Repairing)
        return await self.operator.repair(self._overheard(context), proposal, complaint)


def watched(operators: Sequence[Weighted], playback: Playback) -> list[Weighted]:
    """Return operators whose prompts the playback notes."""
    return [
        replace(
            entry,
            operator=(_WatchedRepairing if isinstance(entry.operator, Repairing) else _Watched)(
                entry.operator, playback
            ),
        )
        for entry in operators
    ]
