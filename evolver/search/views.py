"""The state of a run: functions of its facts, updated with each new one."""

from __future__ import annotations

import time
from collections import Counter

from evolver.evaluation.failures import paths_of
from evolver.routing.budget import Ledger
from evolver.search.counts import OutcomeCounts
from evolver.search.credit import Credit
from evolver.search.evidence import Verdict, in_order
from evolver.search.parts import SEED_OPERATOR, RunParts
from evolver.storage.facts import Attempt, Confirmation, Outcome
from evolver.tasks.objective import dominates


class Views:
    """The views of one run, rebuilt from its stored facts.

    Attributes:
        population: the elites, and the history of judged programs.
        ledger: evaluations that are spent and reserved.
        counts: of outcomes, and of failures in a row.
        credit: success rates of kinds of edits.
        next: the number of the next attempt.
        followers: attempt in flight -> how many others share its first request.
        limit: seconds for the evaluation of a child; None: the evaluator's own limit.
        seed_preflight: the first seed's pre-flight, once there is one.
    """

    def __init__(self, parts: RunParts) -> None:
        """Take in the facts of the store."""
        store = parts.store
        self._parts = parts
        self.population = parts.population
        self.ledger = Ledger(parts.budget.evaluations)
        self.counts = OutcomeCounts(paths_of(*parts.seeds[:1], parts.brief.readonly))
        self.credit = Credit()
        self.limit: float | None = None
        self.seed_preflight = store.preflights(0).get(0)
        self.next = store.next_attempt()
        for event in in_order(store.outcomes(), store.confirmations(), store.rounds()):
            match event:
                case Outcome():
                    self.hold(event.attempt)
                    self.finish(event)
                case Confirmation():
                    self.confirm(event)
                case Verdict():
                    self.population.settle(event)
        self._before = store.seconds()
        self._started = time.monotonic()
        unfinished = store.attempts(unfinished=True)
        for attempt in unfinished:
            self.hold(attempt)
        self.followers = Counter(a.leader for a in unfinished if a.leader is not None)
        self.counts.forgive()

    @property
    def seconds(self) -> float:
        """Time worked on the run, earlier sessions included."""
        return self._before + time.monotonic() - self._started

    def begin(self, attempt: Attempt) -> None:
        """Take in a new attempt."""
        self.next = attempt.id + 1
        self.hold(attempt)
        if attempt.leader is not None:
            self.followers[attempt.leader] += 1

    def hold(self, attempt: Attempt) -> None:
        """Count an attempt as in flight."""
        self.ledger.hold(attempt.id, attempt.reserved)
        if attempt.operator in self._parts.mix.shares:
            self._parts.mix.begin(attempt.operator, attempt.reserved)

    def finish(self, outcome: Outcome) -> bool:
        """Take in a finished attempt; return whether the score rose."""
        attempt, evaluation = outcome.attempt, outcome.evaluation
        mix, models = self._parts.mix, self._parts.models
        spent = 0 if evaluation is None else evaluation.evaluations
        self.ledger.settle(attempt.id, spent)
        if attempt.operator in mix.shares:
            mix.finish(attempt.operator, spent, attempt.reserved)
        if (
            attempt.operator == SEED_OPERATOR
            and evaluation is not None
            and evaluation.status == "ok"
        ):
            self._limit_by(evaluation.seconds)
        improved = self.population.record(outcome)
        requests = 0 if models is None else models.answered(attempt.id)
        self.counts.add(outcome, improved=improved, requests=requests)
        self.credit.record(outcome)
        if attempt.model and models is not None:
            models.learn(attempt, is_better=self._beats_parent(outcome))
        return improved

    def confirm(self, confirmation: Confirmation) -> None:
        """Take in a measurement by the rules of older runs."""
        evaluation = confirmation.evaluation
        if evaluation.status != "ok" and evaluation.fault != "evaluator":
            self.population.disqualify([confirmation.program])

    def _limit_by(self, seconds: float) -> None:
        """Limit the evaluations of children by the time that a seed's took."""
        settings = self._parts.settings
        if settings.limit is not None and settings.follows_clock:
            self.limit = max(self.limit or 0.0, settings.limit(seconds))

    def _beats_parent(self, outcome: Outcome) -> bool:
        elite, parent = outcome.elite, outcome.attempt.parent
        if elite is None or parent is None:
            return False
        return dominates(elite.objectives, self.population.elites[parent].objectives)
