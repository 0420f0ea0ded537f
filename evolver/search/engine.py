"""The loop: one coroutine walks one candidate from selection to storage.

What an attempt decides depends only on the run's seed, its number, and the first `seen` finished
attempts in commit order, and `seen` is in its row before anything is spent. So a run that was
killed goes on from its rows, and with `deterministic` the same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from evolver.errors import UsageError
from evolver.evaluation.failures import paths_of
from evolver.operators.mix import Mix
from evolver.ports import Conditional, Executor
from evolver.routing.budget import Budget, BudgetSpent, Ledger
from evolver.routing.recording import Models
from evolver.search import formatting, rules
from evolver.search.attempt import SEED, AttemptRunner
from evolver.search.confirming import Confirming, Plan, confirm_once
from evolver.search.counts import OutcomeCounts
from evolver.search.credit import Credit
from evolver.search.evidence import Verdict, in_order
from evolver.search.population import Population
from evolver.search.progress import Progress
from evolver.storage.facts import Attempt, Confirmation, Outcome, Round
from evolver.storage.store import Store
from evolver.tasks.objective import dominates
from evolver.types import Brief, Files

_HEARTBEAT = 0.1  # seconds between two reports to the listener, unless something improved


@dataclass(frozen=True)
class EngineSettings:
    """How the loop runs.

    Attributes:
        seed: of all decisions.
        in_flight: attempts begun and not yet committed, at most.
        deterministic: attempts are committed in the order of their numbers, so that attempt n
            sees exactly those up to n - in_flight.
        secret: goes into the evaluations' seeds, so that a candidate that guesses the run's seed
            cannot foresee its secret inputs.
        rules: that decide; see `evolver.search.rules`.
        limit: seconds that an evaluation may take, by those that the seed's took.
        repeats: measurements of what is announced; None: as the evaluator's noise asks for.
        is_strict: whether the evaluator makes them by its `confirm`.
    """

    seed: int = 0
    in_flight: int = 4
    deterministic: bool = False
    secret: str = ""
    rules: int = rules.CURRENT
    limit: Callable[[float], float] | None = None
    repeats: int | None = None
    is_strict: bool = False


class Engine:
    """Runs the loop of one run until something stops it."""

    def __init__(
        self,
        *,
        brief: Brief,
        base: str,
        seeds: Sequence[Files],
        store: Store,
        population: Population,
        mix: Mix,
        executor: Executor,
        budget: Budget,
        settings: EngineSettings,
        models: Models | None = None,
        reserve: Mapping[str, int] | None = None,
        listener: Callable[[Progress], None] | None = None,
    ) -> None:
        """Put a run together; `run` starts it.

        Args:
            brief: what operators may know of the task.
            base: hash of the unchanging base tree.
            seeds: the programs to start from; the first one must evaluate.
            store: where facts go; what it holds already is replayed first.
            population: empty.
            mix: the operators.
            executor: judges programs.
            budget: when to stop.
            settings: how to run.
            models: for the operators that need one.
            reserve: operator -> evaluations that an attempt of its may spend (1 where missing).
            listener: is told of progress, on the event loop's thread.
        """
        self._seeds = seeds
        self._store = store
        self.population = population
        self._mix = mix
        self._executor = executor
        self._budget = budget
        self._settings = settings
        self._models = models
        self._reserve = reserve or {}
        self._listener = listener
        self._walks: dict[int, asyncio.Task[Outcome | None]] = {}
        self._done: asyncio.Queue[asyncio.Task[Outcome | None] | None] = asyncio.Queue()
        self._held: dict[int, Outcome] = {}  # finished out of turn, in deterministic mode
        self._counts = OutcomeCounts(paths_of(*seeds[:1], brief.readonly))
        self._credit = Credit()
        self._stopped: str | None = None
        self._ending: str | None = None  # the limit that no request fits into any more
        self._turned = asyncio.Event()
        self._reported = 0.0
        self._ledger = Ledger(budget.evaluations)
        self._runner = AttemptRunner(
            brief=brief,
            base=base,
            seeds=seeds,
            store=store,
            population=population,
            mix=mix,
            credit=self._credit,
            executor=executor,
            models=models,
            ledger=self._ledger,
            counts=self._counts,
            seed=settings.seed,
            secret=settings.secret,
            watches_time=settings.rules >= 2 and not settings.deterministic,
            report=self._report,
        )
        self._replay()
        self._confirming = Confirming(
            store,
            population,
            executor,
            Plan(settings.repeats, settings.is_strict, is_timed=not settings.deterministic),
            job_seed=self._runner.job_seed,
            seconds=lambda: self.seconds,
            begun=lambda: self._next,
            report=lambda: self._report("", force=True),
        )
        goal = budget.target
        if goal is not None and settings.rules > 1:
            goal = population.objective.value(goal)  # a user's is in the metric's own unit
        self._goal = goal
        if models is not None:
            models.listen(partial(self._report, "", force=True))
            models.ended = self._counts.asked
            limited = budget.tokens is not None or budget.dollars is not None
            models.turn = self._turn_of if settings.deterministic and limited else None

    # --- the state, from the facts -------------------------------------------------------------

    def _replay(self) -> None:
        """Rebuild every view from the stored facts."""
        self._next = self._store.next_attempt()
        facts = self._store.outcomes(), self._store.confirmations(), self._store.rounds()
        for event in in_order(*facts):
            match event:
                case Outcome():
                    self.count_in(event.attempt)
                    self._take_in(event)
                case Confirmation():
                    self._disqualify(event)
                case Verdict():
                    self.population.settle(event)
        self._before = self._store.seconds()
        self._started = time.monotonic()
        self._unfinished = self._store.attempts(unfinished=True)
        for attempt in self._unfinished:
            self.count_in(attempt)
        self._turn = min((attempt.id for attempt in self._unfinished), default=self._next)
        # Who shares the first request of an attempt that was left in flight.
        self._runner.followers = Counter(a.leader for a in self._unfinished if a.leader is not None)
        # A new session has new patience: the evaluator or the model may have been mended.
        self._counts.forgive()

    def _take_in(self, outcome: Outcome) -> bool:
        """Update the views with one finished attempt; return whether the score rose."""
        attempt, evaluation = outcome.attempt, outcome.evaluation
        spent = 0 if evaluation is None else evaluation.evaluations
        self._ledger.settle(attempt.id, spent)
        if attempt.operator in self._mix.shares:
            self._mix.finish(attempt.operator, spent, attempt.reserved)
        if attempt.operator == SEED and evaluation is not None and evaluation.status == "ok":
            self._limit_by(evaluation.seconds)
        improved = self.population.record(outcome)
        self._counts.add(outcome, improved=improved)
        self._credit.record(outcome)
        if attempt.model and self._models is not None:
            self._models.learn(attempt, is_better=self._beats_parent(outcome))
        return improved

    def _limit_by(self, seconds: float) -> None:
        """Let the evaluations of children take as long as those of the seeds allow."""
        by_clock = self._settings.rules >= 2 and not self._settings.deterministic
        if self._settings.limit is not None and by_clock:
            self._runner.limit = max(self._runner.limit or 0.0, self._settings.limit(seconds))

    def _beats_parent(self, outcome: Outcome) -> bool:
        elite, parent = outcome.elite, outcome.attempt.parent
        if elite is None or parent is None:
            return False
        return dominates(elite.objectives, self.population.elites[parent].objectives)

    # --- the loop --------------------------------------------------------------------------------

    async def run(self) -> str:
        """Run until a budget is reached, or nothing more can be done; return why it stopped.

        Raises:
            UsageError: the seed fails its own evaluation, the evaluator fails again and again.
            ModelError: the model does not answer.
            SandboxError: this host cannot run candidates.
        """
        timer: asyncio.TimerHandle | None = None
        if self._budget.seconds is not None:
            left = max(0.0, self._budget.seconds - self.seconds)
            timer = asyncio.get_running_loop().call_later(left, self.stop, "seconds")
        try:
            for attempt in self._unfinished:
                if self._ledger.affords(attempt.id):  # else it waits for a session with more
                    self._start(attempt)
            self._check()
            self._fill()
            while self._walks and self._stopped is None:
                task = await self._done.get()
                if task is None:
                    break
                for outcome in self._in_turn(task.result()):
                    self._commit(outcome)
                    if self._has_stopped():
                        break  # what is held beyond this point is not part of the run
                    self._fill()
        finally:
            if timer is not None:
                timer.cancel()
            for walk in self._walks.values():
                walk.cancel()
            await asyncio.gather(*self._walks.values(), return_exceptions=True)
            self._walks.clear()
        self._report("", force=True)
        return self._stopped or self._ending or "evaluations"

    def stop(self, reason: str) -> None:
        """End the run: nothing new starts, what is in flight is cancelled."""
        if self._stopped is None:
            self._stopped = reason
        self._done.put_nowait(None)

    def _has_stopped(self) -> bool:
        return self._stopped is not None

    @property
    def reaches_target(self) -> bool:
        """Whether the score is as good as the user wants it, and confirmed."""
        population = self.population
        known = bool(population.evidence.confirmed) or self._settings.rules == 1
        return known and self._is_reached(population.score)

    def _is_reached(self, score: float | None) -> bool:
        return self._goal is not None and score is not None and score >= self._goal

    def _may_reach_target(self) -> bool:
        """Whether the search's own score is that good, and it is time to see if it is true."""
        return (
            self._settings.rules > 1
            and self._is_reached(self.population.search_score)
            and self._confirming.is_affordable(self._ledger.spent)
            and self._confirming.is_due
        )

    @property
    def rules(self) -> int:
        """Which rules decide; see `evolver.search.rules`."""
        return self._settings.rules

    @property
    def seconds(self) -> float:
        """Time worked on the run, earlier sessions included."""
        return self._before + time.monotonic() - self._started

    def _fill(self) -> None:
        """Begin attempts while there is room and budget."""
        while not (self._stopped or self._ending):
            room = self._settings.in_flight - len(self._walks)
            if room <= 0:
                return
            if self._next >= len(self._seeds) and not self.population.elites:
                return  # nothing to select from until the seed is judged
            if self._next in range(1, len(self._seeds)) and self.population.finished == 0:
                return  # the first seed alone, then the others
            operator = self.operator_of(self._next)
            samples = min(self._model_of(self._next, operator)[1], self._settings.in_flight)
            if room < samples:
                return  # those that share a request begin together
            wanted = self._reserve.get(operator, 1)
            granted = [self._ledger.reserve(self._next + k, wanted) for k in range(samples)]
            if not granted[0]:
                return
            leader = self.decide(self._next, operator, granted[0])
            group = [leader, *(
                _following(leader, leader.id + k, reserved)
                for k, reserved in enumerate(granted)
                if k and reserved
            )]  # fmt: skip
            self.begin(*group)
            for attempt in group:
                self._start(attempt)

    def _model_of(self, number: int, operator: str) -> tuple[str, int]:
        """Return which model an attempt asks, and how many attempts share its first request."""
        entry = self._mix.operators.get(operator)
        if self._models is None or entry is None or not entry.needs_model:
            return "", 1
        return self._models.choose(Random(f"{self._settings.seed}/{number}/model"))

    def operator_of(self, number: int) -> str:
        """Return whose turn it is: of those that can find a child now."""
        if number < len(self._seeds):
            return SEED
        return (
            self._mix.choose() if self.rules < 2 else self._mix.choose(partial(self._can, number))
        )

    def _can(self, number: int, operator: str) -> bool:
        """Could an operator find a child if an attempt were its?"""
        part = self._mix.operators[operator].operator
        if not isinstance(part, Conditional):
            return True
        return part.can_propose(self._runner.context(self.decide(number, operator, 0)))

    def decide(
        self, number: int, operator: str, reserved: int, leader: Attempt | None = None
    ) -> Attempt:
        """Decide an attempt: a function of the run's seed, its number and what is finished.

        Args:
            number: its own.
            operator: whose turn it is.
            reserved: evaluations that it may spend.
            leader: the attempt whose decision and first request it shares, if any.
        """
        if leader is not None:
            return _following(leader, number, reserved)
        seen = self.population.finished
        if operator == SEED:
            return Attempt(number, seen, SEED, number % len(self.population.islands), None)
        rng = Random(f"{self._settings.seed}/{number}/select")
        asks = self._mix.operators[operator].needs_model
        chosen = self.population.select(number, rng, diverse=asks)
        inspirations = tuple(elite.program.id for elite in chosen.inspirations)
        return Attempt(
            number,
            seen,
            operator,
            chosen.island,
            chosen.parent.program.id,
            inspirations,
            reserved,
            self._model_of(number, operator)[0],
        )

    def begin(self, *attempts: Attempt) -> None:
        """Record decisions before anything is spent on them."""
        for attempt in attempts:
            self._next = attempt.id + 1
            self.count_in(attempt)
            if attempt.leader is not None:
                self._runner.followers[attempt.leader] += 1
        self._store.begin(*attempts)

    def count_in(self, attempt: Attempt) -> None:
        """Count an attempt among those in flight."""
        self._ledger.hold(attempt.id, attempt.reserved)
        if attempt.operator in self._mix.shares:
            self._mix.begin(attempt.operator, attempt.reserved)

    def _start(self, attempt: Attempt) -> None:
        if self._models is not None and self._runner.followers[attempt.id]:
            self._models.share(attempt.id)
        walk = asyncio.ensure_future(self.walk(attempt))
        self._walks[attempt.id] = walk
        walk.add_done_callback(self._done.put_nowait)

    def _in_turn(self, outcome: Outcome | None) -> Iterator[Outcome]:
        """Yield what may be committed now: in deterministic mode, strictly by number."""
        if outcome is None:
            return  # it is left for a session with more tokens or dollars
        if not self._settings.deterministic:
            yield outcome
            return
        self._held[outcome.attempt.id] = outcome
        while self._turn in self._held:
            self._turn += 1
            self._turned.set()
            yield self._held.pop(self._turn - 1)

    async def _turn_of(self, attempt: int) -> None:
        """Wait until every attempt before this one is committed, and its bill with it."""
        while self._turn < attempt:
            self._turned.clear()
            await self._turned.wait()

    def _commit(self, outcome: Outcome) -> None:
        """Commit an outcome, and see whether the run goes on."""
        del self._walks[outcome.attempt.id]
        improved = self.commit(outcome)
        self._check()
        message = f"program {outcome.attempt.id}" if improved else ""
        if outcome.attempt.id == 0 and self._runner.limit is not None:
            message = (
                f"an evaluation may take {self._runner.limit:.2g} s, for the seed's took "
                f"{outcome.evaluation.seconds if outcome.evaluation else 0.0:.2g} s"
            )
        self._report(message)

    def commit(self, outcome: Outcome) -> bool:
        """Make an outcome durable and take it into the views; return whether the score rose."""
        self._store.finish(outcome)
        return self._take_in(outcome)

    def _check(self) -> None:
        """Stop the run where its budget, its target or its patience is reached."""
        if self.population.finished and not self.population.elites:
            self._refuse_seed()
        if self.reaches_target or self._may_reach_target():
            self.stop("target")
        if self._counts.is_exhausted:
            self.stop("exhausted")
        if self._counts.is_useless:
            self.stop("useless")
        self._counts.check()

    def _refuse_seed(self) -> None:
        for outcome in self._store.outcomes():
            evaluation = outcome.evaluation
            if outcome.attempt.id == 0 and evaluation is not None:
                raise UsageError(
                    f"the seed program fails its own evaluation ({evaluation.status}); "
                    f"mend the program or the evaluator first:\n{evaluation.complaint}"
                )

    # --- one candidate ---------------------------------------------------------------------------

    async def walk(self, attempt: Attempt) -> Outcome | None:
        """Walk one candidate; None where too little is left for what it would ask a model."""
        try:
            return await self._runner.run(attempt)
        except BudgetSpent as error:
            self._walks.pop(attempt.id, None)
            self._ending = error.limit  # what is in flight is paid for, so it comes to its end
            self._report(str(error))
            if self._settings.deterministic:
                self.stop(error.limit)  # all before it is committed, what is beyond it is not
            return None
        finally:
            if self._models is not None:
                self._models.end(attempt)

    @property
    def is_confirming(self) -> bool:
        """Whether an earlier session left measurements of a round undone."""
        return self._confirming.is_open

    async def confirm(self) -> None:
        """Measure again what is to be announced, with other secret inputs.

        An evaluator that has a method `confirm` measures by it. Confirmations are stored and are
        no evaluations of the budget.
        """
        if self._settings.rules > 1 or self.is_confirming:
            await self.measure_again()
            return
        await confirm_once(
            self._store,
            self.population,
            self._executor,
            self._runner.job_seed,
            self.confirmed,
            self._next,
        )

    async def measure_again(self, asked: int | None = None) -> None:
        """Measure a program beside the seed; without one, what is to be announced."""
        await self._confirming.confirm(asked)
        population = self.population
        if population.evidence.confirmed:
            found = formatting.announced(
                population.evidence, population.front, population.objective
            )
            self._report(found, force=True)

    def contenders(self) -> tuple[int, ...]:
        """Return whom a round would measure now."""
        return self._confirming.contenders()

    def confirmed(self, confirmation: Confirmation) -> None:
        """Make a measurement by the rules of older runs durable, and take it into the views."""
        self._store.confirm(confirmation)
        self._disqualify(confirmation)

    def close(self, round_: Round, rows: Sequence[Confirmation]) -> None:
        """Make a recorded round durable here too, and take it into the views."""
        self._confirming.close(round_, rows)

    def _disqualify(self, confirmation: Confirmation) -> None:
        evaluation = confirmation.evaluation
        if evaluation.status != "ok" and evaluation.fault != "evaluator":
            self.population.disqualify([confirmation.program])

    def reopen(self) -> None:
        """Let a stopped run go on: its target was reached by a program that did not confirm."""
        self._stopped = self._ending = None
        self._done = asyncio.Queue()
        self._held.clear()
        self._unfinished = self._store.attempts(unfinished=True)
        self._turn = min((attempt.id for attempt in self._unfinished), default=self._next)

    # --- reporting -------------------------------------------------------------------------------

    def progress(self, message: str = "") -> Progress:
        """Return a snapshot of the run."""
        islands = []
        for island in self.population.islands:
            elites = island.archive.elites()
            best = self.population.objective.values(elites[0].objectives)[0] if elites else None
            islands.append((len(elites), best))
        population, objective = self.population, self.population.objective
        own, target = objective.value, None if self._goal is None else objective.value(self._goal)
        score = population.score
        return Progress(
            evaluations=self._ledger.spent,
            budget=self._budget,
            attempts=self.population.finished,
            seconds=self.seconds,
            best_score=score,
            best=population.best(),
            front=tuple(population.front),
            value_name=objective.value_name,
            best_value=None if score is None else own(score),
            target=target,
            is_confirmed=bool(population.evidence.confirmed),
            search_value=None if population.search_score is None else own(population.search_score),
            confirming=self._confirming.told,
            islands=tuple(islands),
            operators=dict(self._counts.operators),
            statuses=dict(self._counts.statuses),
            failures=self._counts.failures,
            bills={} if self._models is None else dict(self._models.bills),
            troubles=() if self._models is None else self._models.troubles,
            notes=() if self._models is None else tuple(self._models.notes),
            models=dict(self._counts.models),
            in_flight=len(self._walks),
            message=message,
        )

    def _report(self, message: str, *, force: bool = False) -> None:
        now = time.monotonic()
        if self._listener is None or not (force or message or now - self._reported >= _HEARTBEAT):
            return
        self._reported = now
        self._listener(self.progress(message))


def _following(leader: Attempt, number: int, reserved: int) -> Attempt:
    """Return the attempt that shares another's decision and first request."""
    return replace(leader, id=number, reserved=reserved, leader=leader.id)
