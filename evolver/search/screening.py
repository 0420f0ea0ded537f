"""The checks between a proposal and its evaluation: filters, a pre-flight, one repair.

An evaluation is spent only on a program that is new and runs. If a model was paid for a child that
does not parse or import, one more request in the same attempt may repair it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from evolver.errors import ProposalError, UsageError
from evolver.ports import Executor
from evolver.programs.filters import FILTERS, already_seen, unparsable
from evolver.storage.store import Store
from evolver.types import Context, Evaluation, Job, Preflight, Program, Proposal

_SLOW = 1.0  # seconds of an evaluation
_MUCH = 10.0  # times as long as the pre-flight


def is_slow(seed: Evaluation, preflight: Preflight) -> bool:
    """Does an evaluation take so long that a pre-flight of every child is worth its time?"""
    return seed.seconds > min(_SLOW, _MUCH * preflight.seconds)


Repair = Callable[[Proposal, str], Awaitable[Proposal]]


@dataclass(frozen=True)
class Admitted:
    """A proposal on which an evaluation may be spent."""

    proposal: Proposal
    fingerprint: str = ""


@dataclass(frozen=True)
class Rejected:
    """Why no evaluation is spent on a proposal, and why its repair failed, where one was tried."""

    reason: str
    repair_failure: str = ""


@dataclass(frozen=True)
class Complaint:
    """A mistake in a proposal that can be repaired: a traceback, or a sentence."""

    text: str


@dataclass(frozen=True)
class Screening:
    """Screens the proposals of one attempt.

    The pre-flight of the seed decides about the others. If the seed itself fails it or takes too
    long, pre-flights are switched off. If it has no fingerprint, the evaluator has no probe: then
    only children that a model was paid for have a pre-flight, or all if the seed's evaluation took
    long (`is_slow`), since a crash costs most there. Pre-flights are stored as they are made, so
    resume repeats none, and replay needs no sandbox.

    Attributes:
        executor: makes pre-flights.
        store: where they are stored.
        attempt: the attempt's number.
        seed: of the jobs; equal for all attempts, so that outputs can be compared.
        equivalent: fingerprint -> the program that has it, among those that the attempt may know.
        rule: the first seed's pre-flight, once there is one.
        is_slow: see `is_slow`.
    """

    executor: Executor
    store: Store
    attempt: int
    seed: int
    equivalent: Callable[[str], int | None]
    rule: Preflight | None
    is_slow: bool = False

    async def welcome(self, seed: Program) -> Preflight:
        """Make the pre-flight of a seed program.

        Raises:
            UsageError: the evaluator's own `smoke` or `probe` fails.
        """
        preflight = await self._preflight(Job(seed, self.seed), 0)
        if preflight.fault == "evaluator":
            raise UsageError(
                "the evaluator fails in the pre-flight of the seed program:\n"
                f"{preflight.complaint}\nMend its smoke or probe, or take them out"
            )
        return preflight

    async def admit(
        self, context: Context, proposal: Proposal, repair: Repair | None
    ) -> Admitted | Rejected:
        """Return a proposal that may be evaluated, mended where needed; else the reason why not.

        Args:
            context: as the operator had it.
            proposal: the operator's.
            repair: asks the operator to repair a proposal, given the mistake; None: it cannot.

        Raises:
            SandboxError: this host cannot run candidates.
            Exception: any error of `repair` but a ProposalError.
        """
        found = await self._look(context, proposal, 0)
        if isinstance(found, Complaint) and repair is not None and context.model is not None:
            try:
                mended = await repair(proposal, found.text)
            except ProposalError as error:
                return Rejected(found.text, str(error))
            found = await self._look(context, mended, 1)
        return Rejected(found.text) if isinstance(found, Complaint) else found

    async def _look(
        self, context: Context, proposal: Proposal, turn: int
    ) -> Admitted | Complaint | Rejected:
        # The parent itself may be proposed for a fit: it is its literals that will be new.
        is_refit = proposal.tune is not None and proposal.files == context.parent.program.files
        for check in FILTERS:
            reason = check(proposal.files, context)
            if reason is not None and not (is_refit and check is already_seen):
                return Complaint(reason) if check is unparsable else Rejected(reason)
        if not self._needs_preflight(context, proposal):
            return Admitted(proposal)
        program = Program(self.attempt, dict(proposal.files))
        preflight = await self._preflight(Job(program, self.seed, proposal.tune), turn)
        if preflight.fault:
            return Admitted(proposal)
        if preflight.complaint:
            return Complaint(preflight.complaint)
        same = self.equivalent(preflight.fingerprint) if preflight.fingerprint else None
        if same is not None:
            return Rejected(f"it computes the same as program {same} on the probe inputs")
        return Admitted(proposal, preflight.fingerprint)

    def _needs_preflight(self, context: Context, proposal: Proposal) -> bool:
        rule = self.rule
        if rule is None or rule.fault or rule.complaint:
            return False
        has_probe = bool(rule.fingerprint) and proposal.tune is None
        return has_probe or context.model is not None or self.is_slow

    async def _preflight(self, job: Job, turn: int) -> Preflight:
        stored = self.store.preflights(self.attempt)
        if turn in stored:
            return stored[turn]
        preflight = await self.executor.preflight(job)
        if not preflight.fault:  # an evaluator can be mended, another host be faster
            self.store.record_preflight(self.attempt, turn, preflight)
        return preflight
