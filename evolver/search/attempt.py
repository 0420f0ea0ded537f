"""One attempt: from the decision on it to the verdict on what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from random import Random

from evolver.errors import EvolverError, ModelError, ModelRefused, ProposalError
from evolver.operators.mix import Mix
from evolver.ports import Executor, Repairing
from evolver.routing.budget import Ledger
from evolver.routing.recording import Models
from evolver.search.counts import OutcomeCounts
from evolver.search.credit import Credit
from evolver.search.population import Population
from evolver.search.screening import Repair, Screening, is_slow
from evolver.storage.facts import Attempt, Outcome
from evolver.storage.store import Store
from evolver.types import Brief, Context, Files, Job, Model, Program, Proposal, Tune

SEED = "seed"  # the operator of the programs that a run starts from


class AttemptRunner:
    """Runs attempts, many at once: nothing here changes but what is counted of operators.

    Args:
        brief: what operators may know of the task.
        base: hash of the unchanging base tree.
        seeds: the programs to start from.
        store: where pre-flights and answers are kept.
        population: who can be a parent, and what was seen.
        mix: the operators.
        credit: how their edits fared.
        executor: judges programs.
        models: for the operators that need one.
        ledger: what an attempt may spend.
        counts: counts what goes wrong in a row.
        seed: of all decisions.
        secret: see `engine.EngineSettings`.
        watches_time: may what the clock said of the seed decide what has a pre-flight?
        report: tells the user a sentence.
    """

    def __init__(
        self,
        *,
        brief: Brief,
        base: str,
        seeds: Sequence[Files],
        store: Store,
        population: Population,
        mix: Mix,
        credit: Credit,
        executor: Executor,
        models: Models | None,
        ledger: Ledger,
        counts: OutcomeCounts,
        seed: int,
        secret: str,
        watches_time: bool,
        report: Callable[[str], None],
    ) -> None:
        self._brief = brief
        self._base = base
        self._seeds = seeds
        self._store = store
        self._population = population
        self._mix = mix
        self._credit = credit
        self._executor = executor
        self._models = models
        self._ledger = ledger
        self._counts = counts
        self._seed = seed
        self._secret = secret
        self._watches_time = watches_time
        self._report = report
        self.followers = Counter[int]()  # attempt -> how many share its first request
        self.limit: float | None = None  # seconds for the evaluation of a child; None: no own

    async def run(self, attempt: Attempt) -> Outcome:
        """Run one attempt, from its decision to its verdict.

        Raises:
            BudgetSpent: too little is left for what it would ask a model.
            EvolverError: what the run must stop for.
        """
        if attempt.operator == SEED:
            program = Program(
                attempt.id, self._seeds[attempt.id], self._base, island=attempt.island
            )
            preflight = await self._screening(attempt).welcome(program)
            if preflight.complaint:
                last = preflight.complaint.strip().splitlines()[-1]
                self._report(f"no pre-flights: the seed itself fails in one: {last}")
            return await self._judge(attempt, program, None, preflight.fingerprint)
        entry = self._mix.operators.get(attempt.operator)
        if entry is None:  # it was left in flight by a session with other settings
            return Outcome(attempt, "unproposed", f"there is no operator '{attempt.operator}' now")
        context = replace(self.context(attempt), model=self._recorded(attempt))
        operator = entry.operator
        repair: Repair | None = None
        if isinstance(operator, Repairing):
            repair = partial(self._mended, operator, context)
        try:
            proposal = await self._proposed(operator.propose(context))
            admitted = await self._screening(attempt).admit(context, proposal, repair)
        except ProposalError as error:
            return Outcome(attempt, "unproposed", str(error))
        if isinstance(admitted, str):
            return Outcome(attempt, "filtered", admitted, summary=proposal.summary)
        proposal = admitted.proposal
        program = Program(
            attempt.id,
            dict(proposal.files),
            self._base,
            proposal.parents or (context.parent.program.id,),
            attempt.operator,
            attempt.island,
            context.parent.program.generation + 1,
            proposal.summary,
            proposal.thought,
        )
        return await self._judge(attempt, program, proposal.tune, admitted.fingerprint)

    def context(self, attempt: Attempt) -> Context:
        """Return what an attempt's operator sees, but for a model."""
        elites = self._population.elites
        return Context(
            brief=self._brief,
            parent=elites[attempt.parent],  # type: ignore[index]  # only seeds have none
            inspirations=tuple(elites[id_] for id_ in attempt.inspirations),
            rng=Random(f"{self._seed}/{first(attempt)}/propose"),
            is_seen=partial(self._population.history.holds, upto=attempt.seen),
            fits=partial(self._population.history.fits, upto=attempt.seen),
            tried=self._population.tried(attempt.parent, upto=attempt.seen),  # type: ignore[arg-type]
            credit=self._credit.shares(upto=attempt.seen),
        )

    async def _proposed(self, work: Awaitable[Proposal]) -> Proposal:
        """Wait for an operator.

        Raises:
            ProposalError: it found nothing, the model did not answer, or it raised.
            EvolverError: what the run must stop for.
        """
        try:
            proposal = await work
        except ModelRefused:
            raise  # a key or a name is wrong: waiting mends nothing
        except ModelError as error:
            raise ProposalError(str(error)) from error
        except EvolverError:
            raise
        except Exception as error:  # operators are plug-ins, a user's may raise anything
            said = f"the operator raised {type(error).__name__}: {error}"
            self._counts.operator_failed(said)
            raise ProposalError(said) from error
        self._counts.operator_faults = 0
        return proposal

    async def _mended(
        self, operator: Repairing, context: Context, proposal: Proposal, complaint: str
    ) -> Proposal:
        return await self._proposed(operator.repair(context, proposal, complaint))

    def _screening(self, attempt: Attempt) -> Screening:
        return Screening(
            self._executor,
            self._store,
            attempt.id,
            self.job_seed(0, "preflight"),
            partial(self._population.history.equivalent, upto=attempt.seen),
            self._is_slow(),
        )

    def _is_slow(self) -> bool:
        """Is the evaluation so slow, by what is stored of the seed, that all have a pre-flight?"""
        seed = self._population.elites.get(0)
        preflight = self._store.preflights(0).get(0)
        if not self._watches_time or seed is None or preflight is None:
            return False
        return is_slow(seed.evaluation, preflight)

    def _recorded(self, attempt: Attempt) -> Model | None:
        if self._models is None or not self._mix.operators[attempt.operator].needs_model:
            return None
        return self._models.of(attempt, 1 + self.followers[attempt.id])

    async def _judge(
        self, attempt: Attempt, program: Program, tune: Tune | None, fingerprint: str
    ) -> Outcome:
        if tune is not None:
            tune = replace(tune, limit=min(tune.limit, self._ledger.granted(attempt.id)))
        evaluation = await self._executor.evaluate(
            Job(
                program,
                self.job_seed(attempt.id, "score"),
                tune,
                limit=None if attempt.operator == SEED else self.limit,
            )
        )
        evaluation = replace(evaluation, fingerprint=fingerprint)
        proposed = None if tune is None else program.files
        if evaluation.tuned is not None:
            program = replace(program, files=evaluation.tuned)
            evaluation = replace(evaluation, tuned=None)
        return Outcome(attempt, "evaluated", "", program, evaluation, proposed)

    def job_seed(self, attempt: int, purpose: str) -> int:
        """Return the seed of an evaluation: of its secret inputs, and of chance inside."""
        stream = f"{self._seed}/{attempt}/{purpose}/{self._secret}"
        return Random(stream).getrandbits(63)


def first(attempt: Attempt) -> int:
    """Return the number whose chances an attempt shares: those of one request have one prompt."""
    return attempt.id if attempt.leader is None else attempt.leader
