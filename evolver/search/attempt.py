"""One attempt: from its decision to the verdict on its child."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from evolver.errors import EvolverError, ModelError, ModelRefused, ProposalError
from evolver.ports import Repairing
from evolver.routing.recording import Turn
from evolver.search.parts import SEED_OPERATOR, RunParts
from evolver.search.screening import Rejected, Repair, Screening, is_slow
from evolver.search.views import Views
from evolver.storage.facts import Attempt, Outcome
from evolver.types import Context, Job, Model, Program, Proposal, Tune


class AttemptRunner:
    """Runs attempts, many at once."""

    def __init__(self, parts: RunParts, views: Views) -> None:
        self._parts = parts
        self._views = views

    async def run(self, attempt: Attempt, say: Callable[[str], None], turn: Turn | None) -> Outcome:
        """Run one attempt, from its decision to its verdict; see `Steps.run`.

        Raises:
            BudgetSpent: too few tokens or dollars are left for a request.
            EvolverError: an error that the run must stop for.
        """
        if attempt.operator == SEED_OPERATOR:
            return await self._seed(attempt, say)
        entry = self._parts.mix.operators.get(attempt.operator)
        if entry is None:  # a session with other settings left it in flight
            return Outcome(attempt, "unproposed", f"there is no operator '{attempt.operator}' now")
        context = replace(self.context(attempt), model=self._recorded(attempt, turn))
        operator = entry.operator
        repair: Repair | None = None
        if isinstance(operator, Repairing):
            repair = partial(self._mended, operator, context)
        try:
            proposal = await self._proposed(operator.propose(context))
            admitted = await self._screening(attempt).admit(context, proposal, repair)
        except ProposalError as error:
            return Outcome(attempt, "unproposed", str(error))
        if isinstance(admitted, Rejected):
            return Outcome(
                attempt,
                "filtered",
                admitted.reason,
                summary=proposal.summary,
                repair_failure=admitted.repair_failure,
            )
        proposal = admitted.proposal
        program = Program(
            attempt.id,
            dict(proposal.files),
            self._parts.base,
            proposal.parents or (context.parent.program.id,),
            attempt.operator,
            attempt.island,
            context.parent.program.generation + 1,
            proposal.summary,
            proposal.thought,
        )
        return await self._evaluated(attempt, program, proposal.tune, admitted.fingerprint)

    async def _seed(self, attempt: Attempt, say: Callable[[str], None]) -> Outcome:
        """Judge a program that the run starts from."""
        files = self._parts.seeds[attempt.id]
        program = Program(attempt.id, files, self._parts.base, island=attempt.island)
        preflight = await self._screening(attempt).welcome(program)
        if attempt.id == 0:
            self._views.seed_preflight = preflight
        if preflight.complaint:
            last = preflight.complaint.strip().splitlines()[-1]
            say(f"no pre-flights: the seed itself fails in one: {last}")
        return await self._evaluated(attempt, program, None, preflight.fingerprint)

    def context(self, attempt: Attempt) -> Context:
        """Return the context of an attempt's operator, without a model."""
        population, seen = self._views.population, attempt.seen
        elites, history = population.elites, population.history
        return Context(
            brief=self._parts.brief,
            parent=elites[attempt.parent],  # type: ignore[index]  # only seeds have none
            inspirations=tuple(elites[id_] for id_ in attempt.inspirations),
            rng=self._parts.settings.rng(first(attempt), "propose"),
            is_seen=partial(history.holds, upto=seen),
            fits=partial(history.fits, upto=seen),
            tried=population.tried(attempt.parent, upto=seen),  # type: ignore[arg-type]
            credit=self._views.credit.shares(upto=seen),
            limit=self._views.limit,
        )

    async def _proposed(self, work: Awaitable[Proposal]) -> Proposal:
        """Wait for an operator's proposal.

        Raises:
            ProposalError: it found no child, the model did not answer, or it raised.
            EvolverError: an error that the run must stop for.
        """
        try:
            proposal = await work
        except ModelRefused:
            raise  # a key or a name is wrong: waiting does not help
        except ModelError as error:
            raise ProposalError(str(error)) from error
        except EvolverError:
            raise
        except Exception as error:  # a plug-in may raise anything
            said = f"the operator raised {type(error).__name__}: {error}"
            self._views.counts.operator_failed(said)
            raise ProposalError(said) from error
        self._views.counts.operator_faults = 0
        return proposal

    async def _mended(
        self, operator: Repairing, context: Context, proposal: Proposal, complaint: str
    ) -> Proposal:
        return await self._proposed(operator.repair(context, proposal, complaint))

    def _screening(self, attempt: Attempt) -> Screening:
        history = self._views.population.history
        return Screening(
            self._parts.executor,
            self._parts.store,
            attempt.id,
            self._parts.settings.job_seed(0, "preflight"),
            partial(history.equivalent, upto=attempt.seen),
            self._views.seed_preflight,
            self._is_slow(),
        )

    def _is_slow(self) -> bool:
        """Whether evaluations take so long, by the seed's, that every child has a pre-preflight."""
        seed = self._views.population.elites.get(0)
        preflight = self._views.seed_preflight
        if not self._parts.settings.follows_clock or seed is None or preflight is None:
            return False
        return is_slow(seed.evaluation, preflight)

    def _recorded(self, attempt: Attempt, turn: Turn | None) -> Model | None:
        models = self._parts.models
        if models is None or not self._parts.mix.operators[attempt.operator].needs_model:
            return None
        return models.of(attempt, 1 + self._views.followers[attempt.id], turn)

    async def _evaluated(
        self, attempt: Attempt, program: Program, tune: Tune | None, fingerprint: str
    ) -> Outcome:
        if tune is not None:
            tune = replace(tune, limit=min(tune.limit, self._views.ledger.granted(attempt.id)))
        job = Job(
            program,
            self._parts.settings.job_seed(attempt.id, "score"),
            tune,
            limit=None if attempt.operator == SEED_OPERATOR else self._views.limit,
        )
        proposed = None
        if tune is None:
            evaluation = await self._parts.executor.evaluate(job)
        else:
            proposed = program.files
            program, evaluation = await self._parts.executor.tune(job)
        evaluation = replace(evaluation, fingerprint=fingerprint)
        return Outcome(attempt, "evaluated", "", program, evaluation, proposed)


def first(attempt: Attempt) -> int:
    """Return the attempt whose random stream an attempt shares: one request has one prompt."""
    return attempt.id if attempt.leader is None else attempt.leader
