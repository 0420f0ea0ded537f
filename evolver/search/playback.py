"""What stands for executor and models when a run is replayed, and hears what operators ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evolver.errors import ProposalError
from evolver.operators.mix import Weighted
from evolver.ports import Conditional, Operator, Repairing
from evolver.storage.facts import Outcome
from evolver.types import Completion, Context, Evaluation, Job, Model, Preflight, Prompt, Proposal


class Playback:
    """Executor and model at once: answers what was recorded of the attempt that is walked.

    Attributes:
        outcome: how that attempt ended.
        heard: the prompts that its operator has asked so far.
        jobs: all that was to be judged, with the stored verdicts.
    """

    slots = 1

    def __init__(self) -> None:
        """Nothing is walked yet."""
        self.outcome: Outcome | None = None
        self.heard: list[Prompt] = []
        self.jobs: list[tuple[Job, Evaluation]] = []

    def wind(self, outcome: Outcome) -> None:
        """Take up another attempt."""
        self.outcome = outcome
        self.heard = []

    async def evaluate(self, job: Job) -> Evaluation:
        """Return the stored verdict, whatever the program looks like now."""
        assert self.outcome is not None
        evaluation, program = self.outcome.evaluation, self.outcome.program
        if evaluation is None or program is None:
            return Evaluation("crashed", feedback="it was never judged", fault="evaluator")
        self.jobs.append((job, evaluation))
        is_fitted = self.outcome.proposed is not None and program.files != self.outcome.proposed
        return replace(evaluation, tuned=program.files if is_fitted else None)

    async def preflight(self, job: Job) -> Preflight:
        """Tell nothing: the pre-flights that told anything are in the store."""
        return Preflight(fault="timeout")

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Refuse: the answers that were given are in the store.

        Raises:
            ProposalError: as the attempt ended then.
        """
        assert self.outcome is not None
        is_unproposed = self.outcome.verdict == "unproposed"
        reason = self.outcome.reason if is_unproposed else self.outcome.repair_failure
        raise ProposalError(reason or "no answer to this is recorded")

    async def close(self) -> None:
        """Nothing to end."""


@dataclass(frozen=True)
class _Overheard:
    """A model whose prompts somebody else reads along."""

    model: Model
    heard: list[Prompt]

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Pass a request on."""
        self.heard.append(prompt)
        return await self.model.complete(prompt, n)


@dataclass(frozen=True)
class _Watched:
    """An operator whose prompts are read along."""

    operator: Operator
    playback: Playback

    async def propose(self, context: Context) -> Proposal:
        """Propose as the operator does."""
        return await self.operator.propose(self._overheard(context))

    def can_propose(self, context: Context) -> bool:
        """Tell what the operator knows beforehand."""
        return not isinstance(self.operator, Conditional) or self.operator.can_propose(context)

    def _overheard(self, context: Context) -> Context:
        if context.model is None:
            return context
        return replace(context, model=_Overheard(context.model, self.playback.heard))


@dataclass(frozen=True)
class _WatchedRepairing(_Watched):
    """One that can also repair."""

    async def repair(self, context: Context, proposal: Proposal, complaint: str) -> Proposal:
        """Repair as the operator does."""
        assert isinstance(self.operator, Repairing)
        return await self.operator.repair(self._overheard(context), proposal, complaint)


def watched(operators: Sequence[Weighted], playback: Playback) -> list[Weighted]:
    """Return operators whose prompts the playback hears."""
    return [
        replace(
            entry,
            operator=(_WatchedRepairing if isinstance(entry.operator, Repairing) else _Watched)(
                entry.operator, playback
            ),
        )
        for entry in operators
    ]
