"""The loop: it begins attempts while there is room and budget, and commits them as they finish.

What an attempt decides depends only on the run's seed, its number, and the first `seen` finished
attempts in commit order, and `seen` is in its row before anything is spent. So a run that was
killed goes on from its rows, and with `deterministic` the same seed gives the same run.
"""

from __future__ import annotations

import asyncio
from functools import partial

from evolver.errors import UsageError
from evolver.routing.budget import BudgetSpent
from evolver.search import formatting
from evolver.search.confirming import confirm_once
from evolver.search.order import CommitOrder
from evolver.search.parts import RunParts
from evolver.search.population import Population
from evolver.search.progress import Progress
from evolver.search.reporter import Reporter
from evolver.search.steps import Steps, following
from evolver.storage.facts import Attempt, Outcome


class Engine:
    """Runs the loop of one run until something stops it.

    Attributes:
        steps: the steps of the run.
    """

    def __init__(self, parts: RunParts) -> None:
        """Go on from the facts in the store; `run` starts the work."""
        self._parts = parts
        self.steps = Steps(parts)
        self._views = self.steps.views
        self._order = CommitOrder(by_number=parts.settings.deterministic)
        self._tasks: dict[int, asyncio.Task[Outcome | None]] = {}  # by the attempts' numbers
        self._done: asyncio.Queue[asyncio.Task[Outcome | None] | None] = asyncio.Queue()
        self._stopped: str | None = None
        self._ending: str | None = None  # the limit that no request fits into any more
        self._reporter = Reporter(parts, self.steps, self._tasks)
        if parts.models is not None:
            parts.models.listen(self._reporter.report_now)

    @property
    def population(self) -> Population:
        """The elites of the run."""
        return self._views.population

    @property
    def seconds(self) -> float:
        """Time worked on the run, earlier sessions included."""
        return self._views.seconds

    def progress(self, message: str = "") -> Progress:
        """Return a snapshot of the run."""
        return self._reporter.progress(message)

    # --- the loop --------------------------------------------------------------------------------

    async def run(self) -> str:
        """Run until a budget is reached, or nothing more can be done; return why it stopped.

        Raises:
            UsageError: the seed fails its evaluation, or the evaluator fails again and again.
            ModelError: the model does not answer.
            SandboxError: this host cannot run candidates.
        """
        timer: asyncio.TimerHandle | None = None
        if self._parts.budget.seconds is not None:
            left = max(0.0, self._parts.budget.seconds - self.seconds)
            timer = asyncio.get_running_loop().call_later(left, self.stop, "seconds")
        unfinished = self._parts.store.attempts(unfinished=True)
        self._order.restart(min((attempt.id for attempt in unfinished), default=self._views.next))
        try:
            for attempt in unfinished:
                if self._views.ledger.affords(attempt.id):  # else it waits for a larger budget
                    self._start(attempt)
            self._check()
            self._fill()
            while self._tasks and self._stopped is None:
                task = await self._done.get()
                if task is None:
                    break
                outcome = task.result()
                for ready in () if outcome is None else self._order.ready(outcome):
                    self._commit(ready)
                    if self._has_stopped():
                        break  # later attempts that finished early are not part of the run
                    self._fill()
        finally:
            if timer is not None:
                timer.cancel()
            for running in self._tasks.values():
                running.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._tasks.clear()
        self._reporter.report_now()
        return self._stopped or self._ending or "evaluations"

    def stop(self, reason: str) -> None:
        """Stop the run: no attempt begins, and those in flight are cancelled."""
        if self._stopped is None:
            self._stopped = reason
        self._done.put_nowait(None)

    def reopen(self) -> None:
        """Let a stopped run go on: the program that reached its target was not confirmed."""
        self._stopped = self._ending = None
        self._done = asyncio.Queue()

    def _has_stopped(self) -> bool:
        return self._stopped is not None

    def _fill(self) -> None:
        """Begin attempts while places and budget are left."""
        seeds, in_flight = len(self._parts.seeds), self._parts.settings.in_flight
        while not (self._stopped or self._ending):
            number, room = self._views.next, in_flight - len(self._tasks)
            if room <= 0:
                return
            if number >= seeds and not self.population.elites:
                return  # nothing to select from until the seed is judged
            if number in range(1, seeds) and self.population.finished == 0:
                return  # the first seed alone, then the others
            operator = self.steps.operator_of(number)
            samples = min(self.steps.model_of(number, operator)[1], in_flight)
            if room < samples:
                return  # those that share a request begin together
            wanted = self._parts.reserve.get(operator, 1)
            granted = [self._views.ledger.reserve(number + k, wanted) for k in range(samples)]
            if not granted[0]:
                return
            leader = self.steps.decide(number, operator, granted[0])
            group = [leader, *(
                following(leader, number + k, reserved)
                for k, reserved in enumerate(granted)
                if k and reserved
            )]  # fmt: skip
            self.steps.begin(*group)
            for attempt in group:
                self._start(attempt)

    def _start(self, attempt: Attempt) -> None:
        models = self._parts.models
        if models is not None and self._views.followers[attempt.id]:
            models.share(attempt.id)
        task = asyncio.ensure_future(self._work(attempt))
        self._tasks[attempt.id] = task
        task.add_done_callback(self._done.put_nowait)

    async def _work(self, attempt: Attempt) -> Outcome | None:
        """Run an attempt; None if too few tokens or dollars are left for a request."""
        budget = self._parts.budget
        is_limited = budget.tokens is not None or budget.dollars is not None
        is_in_turn = self._parts.settings.deterministic and is_limited
        turn = partial(self._order.turn, attempt.id) if is_in_turn else None
        try:
            outcome = await self.steps.run(attempt, self._reporter.report, turn)
            await self.steps.pass_gate(outcome, self._reporter.report)
            return outcome
        except BudgetSpent as error:
            self._tasks.pop(attempt.id, None)
            self._ending = error.limit  # attempts in flight are paid for, so they finish
            self._reporter.report(str(error))
            if self._parts.settings.deterministic:
                self.stop(error.limit)  # all attempts before it are committed, none after it
            return None

    def _commit(self, outcome: Outcome) -> None:
        """Commit an outcome, and check whether the run goes on."""
        del self._tasks[outcome.attempt.id]
        improved = self.steps.commit(outcome)
        self._check()
        message = f"program {outcome.attempt.id}" if improved else ""
        if outcome.attempt.id == 0 and self._views.limit is not None:
            message = (
                f"an evaluation may take {self._views.limit:.2g} s, since the seed's took "
                f"{outcome.evaluation.seconds if outcome.evaluation else 0.0:.2g} s"
            )
        self._reporter.report(message)

    # --- when to stop ----------------------------------------------------------------------------

    def _check(self) -> None:
        """Stop the run at its target, or after too many failures in a row."""
        if self.population.finished and not self.population.elites:
            self._refuse_seed()
        if self.reaches_target or self._may_reach_target():
            self.stop("target")
        if self._views.counts.is_exhausted:
            self.stop("exhausted")
        if self._views.counts.is_useless:
            self.stop("useless")
        self._views.counts.check()

    def _refuse_seed(self) -> None:
        for outcome in self._parts.store.outcomes():
            evaluation = outcome.evaluation
            if outcome.attempt.id == 0 and evaluation is not None:
                raise UsageError(
                    f"the seed program fails its own evaluation ({evaluation.status}); "
                    f"fix the program or the evaluator first:\n{evaluation.complaint}"
                )

    @property
    def reaches_target(self) -> bool:
        """Whether the score reaches the target, and is confirmed."""
        known = bool(self.population.evidence.confirmed) or self.steps.rules == 1
        return known and self._is_reached(self.population.score)

    def _is_reached(self, score: float | None) -> bool:
        goal = self._parts.goal
        return goal is not None and score is not None and score >= goal

    def _may_reach_target(self) -> bool:
        """Whether the unconfirmed score reaches the target, and a round may check it now."""
        return (
            self.steps.rules > 1
            and self._is_reached(self.population.search_score)
            and self.steps.confirming.is_affordable(self._views.ledger.spent)
            and self.steps.confirming.is_due
        )

    # --- confirmations ---------------------------------------------------------------------------

    @property
    def is_confirming(self) -> bool:
        """Whether an earlier session left a round unfinished."""
        return self.steps.confirming.is_open

    async def confirm(self) -> None:
        """Measure the programs to announce again, with other secret inputs.

        An evaluator with a method `confirm` measures by it. Confirmations are stored, and the
        budget does not count them.
        """
        if self.steps.rules > 1 or self.is_confirming:
            await self.measure_again()
        else:
            await confirm_once(self._parts, self._views, self.steps.confirm)

    async def measure_again(self, asked: int | None = None) -> None:
        """Measure a program beside the seed; None: the programs to announce."""
        await self.steps.confirming.confirm(asked, self._reporter.report_now)
        population = self.population
        if population.evidence.confirmed:
            evidence, front = population.evidence, population.front
            found = formatting.announced(evidence, front, population.objective)
            self._reporter.report(found, force=True)
