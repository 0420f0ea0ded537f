"""The loop: one coroutine walks one candidate from selection to storage.

What an attempt decides depends only on the run's seed, its number, and the first `seen` finished
attempts in commit order, and `seen` is in its row before anything is spent. So a run that was
killed goes on from its rows, and with `deterministic` the same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from evolver.budget import Budget, Ledger
from evolver.errors import EvolverError, ModelError, ModelRefused, ProposalError, UsageError
from evolver.operators.mix import Mix
from evolver.population import Population, trial_of
from evolver.progress import Progress
from evolver.recording import RecordedModel
from evolver.screening import Repair, Screening
from evolver.store import Attempt, Bill, Outcome, Store
from evolver.tally import Tally
from evolver.types import (
    Brief,
    Completion,
    Context,
    Elite,
    Evaluation,
    Executor,
    Files,
    Job,
    Model,
    Program,
    Proposal,
    Repairing,
    Trial,
    Tune,
)

SEED = "seed"  # the operator of the programs that a run starts from

_HEARTBEAT = 0.1  # seconds between two reports to the listener, unless something improved


@dataclass(frozen=True)
class EngineSettings:
    """How the loop runs.

    Attributes:
        seed: of all decisions.
        in_flight: attempts begun and not yet committed, at most.
        deterministic: attempts are committed in the order of their numbers, so that attempt n
            sees exactly those up to n - in_flight.
        model_slots: requests to models at once.
        secret: goes into the evaluations' seeds, so that a candidate that guesses the run's seed
            cannot foresee its secret inputs.
    """

    seed: int = 0
    in_flight: int = 4
    deterministic: bool = False
    model_slots: int = 8
    secret: str = ""


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
        model: Model | None = None,
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
            model: for the operators that need one.
            reserve: operator -> evaluations that an attempt of its may spend (1 where missing).
            listener: is told of progress, on the event loop's thread.
        """
        self._brief = brief
        self._base = base
        self._seeds = seeds
        self._store = store
        self.population = population
        self._mix = mix
        self._executor = executor
        self._budget = budget
        self._settings = settings
        self._model = model
        self._reserve = reserve or {}
        self._listener = listener
        self._slots = asyncio.Semaphore(settings.model_slots)
        self._walks: dict[int, asyncio.Task[Outcome]] = {}
        self._done: asyncio.Queue[asyncio.Task[Outcome] | None] = asyncio.Queue()
        self._held: dict[int, Outcome] = {}  # finished out of turn, in deterministic mode
        self._tally = Tally()
        self._stopped: str | None = None
        self._reported = 0.0
        self._replay()

    # --- the state, from the facts -------------------------------------------------------------

    def _replay(self) -> None:
        """Rebuild every view from the stored facts."""
        self._ledger = Ledger(self._budget.evaluations)
        self._committed = Bill()
        self._next = self._store.next_attempt()
        for outcome in self._store.outcomes():
            if outcome.attempt.operator in self._mix.shares:
                self._mix.begin(outcome.attempt.operator)
            self._take_in(outcome)
        self._bill = self._store.bill()
        self._before = self._store.seconds()
        self._started = time.monotonic()
        self.population.disqualify(self._failed(self._store.confirmations()))
        self._unfinished = self._store.attempts(unfinished=True)
        self._turn = min((attempt.id for attempt in self._unfinished), default=self._next)
        # A new session has new patience: the evaluator or the model may have been mended.
        self._tally.forgive()

    def _take_in(self, outcome: Outcome) -> bool:
        """Update the views with one finished attempt; return whether the score rose."""
        attempt, evaluation = outcome.attempt, outcome.evaluation
        spent = 0 if evaluation is None else evaluation.evaluations
        self._ledger.settle(attempt.id, spent)
        if attempt.operator in self._mix.shares:
            self._mix.finish(attempt.operator, spent)
        elite = None
        if outcome.program is not None and evaluation is not None and evaluation.status == "ok":
            elite = Elite(outcome.program, evaluation)
        proposed = outcome.proposed
        if proposed is None and outcome.program is not None:
            proposed = outcome.program.files
        improved = self.population.record(
            proposed,
            elite,
            self._islands_of(attempt),
            parent=attempt.parent,
            fitted=outcome.proposed is not None,
            trial=self._trial_of(outcome),
        )
        if evaluation is not None and evaluation.fingerprint and _is_verdict(evaluation):
            self.population.seen.add_outputs(
                evaluation.fingerprint, attempt.id, self.population.finished
            )
        self._tally.count(outcome, improved=improved)
        self._spent_bill(attempt)
        return improved

    def _trial_of(self, outcome: Outcome) -> Trial | None:
        """What prompts say of an outcome: only models' edits, or genetic ones would drown them."""
        entry = self._mix.operators.get(outcome.attempt.operator)
        if entry is None or not entry.needs_model:
            return None
        if outcome.program is None or outcome.evaluation is None:
            return None
        return trial_of(outcome.program, outcome.evaluation)

    def _spent_bill(self, attempt: Attempt) -> None:
        """Book an attempt's completions when it is committed, not when they happen to arrive."""
        if self._settings.deterministic:
            for answers in self._store.completions(attempt.id).values():
                self._committed = self._committed.plus(answers)

    def _islands_of(self, attempt: Attempt) -> Sequence[int]:
        """The task's seed settles every island, all others the one they were made on."""
        return range(len(self.population.islands)) if attempt.id == 0 else (attempt.island,)

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
                self._ledger.hold(attempt.id, attempt.reserved)
                if attempt.operator in self._mix.shares:
                    self._mix.begin(attempt.operator)
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
        return self._stopped or "evaluations"

    def stop(self, reason: str) -> None:
        """End the run: nothing new starts, what is in flight is cancelled."""
        if self._stopped is None:
            self._stopped = reason
        self._done.put_nowait(None)

    def _has_stopped(self) -> bool:
        return self._stopped is not None

    @property
    def reaches_target(self) -> bool:
        """Whether the score is as good as the user wants it."""
        score, target = self.population.score, self._budget.target
        return target is not None and score is not None and score >= target

    @property
    def seconds(self) -> float:
        """Time worked on the run, earlier sessions included."""
        return self._before + time.monotonic() - self._started

    def _fill(self) -> None:
        """Begin attempts while there is room and budget."""
        while self._stopped is None and len(self._walks) < self._settings.in_flight:
            if self._next >= len(self._seeds) and not self.population.elites:
                return  # nothing to select from until the seed is judged
            if self._next in range(1, len(self._seeds)) and self.population.finished == 0:
                return  # the first seed alone, then the others
            operator = SEED if self._next < len(self._seeds) else self._mix.choose()
            reserved = self._ledger.reserve(self._next, self._reserve.get(operator, 1))
            if not reserved:
                return
            self._begin(operator, reserved)

    def _begin(self, operator: str, reserved: int) -> None:
        """Decide an attempt, record the decision, set the candidate on its way."""
        number = self._next
        self._next += 1
        seen = self.population.finished
        if operator == SEED:
            attempt = Attempt(number, seen, SEED, number % len(self.population.islands), None)
        else:
            rng = Random(f"{self._settings.seed}/{number}/select")
            chosen = self.population.select(number, rng)
            inspirations = tuple(elite.program.id for elite in chosen.inspirations)
            attempt = Attempt(
                number,
                seen,
                operator,
                chosen.island,
                chosen.parent.program.id,
                inspirations,
                reserved,
            )
            self._mix.begin(operator)
        self._store.begin(attempt)
        self._start(attempt)

    def _start(self, attempt: Attempt) -> None:
        walk = asyncio.ensure_future(self._walk(attempt))
        self._walks[attempt.id] = walk
        walk.add_done_callback(self._done.put_nowait)

    def _in_turn(self, outcome: Outcome) -> Iterator[Outcome]:
        """Yield what may be committed now: in deterministic mode, strictly by number."""
        if not self._settings.deterministic:
            yield outcome
            return
        self._held[outcome.attempt.id] = outcome
        while self._turn in self._held:
            self._turn += 1
            yield self._held.pop(self._turn - 1)

    def _commit(self, outcome: Outcome) -> None:
        """Make an outcome durable, take it into the views, and see whether the run goes on."""
        self._store.finish(outcome)
        del self._walks[outcome.attempt.id]
        improved = self._take_in(outcome)
        self._check()
        self._report(f"program {outcome.attempt.id}" if improved else "")

    def _check(self) -> None:
        """Stop the run where its budget, its target or its patience is reached."""
        budget = self._budget
        if self.population.finished and not self.population.elites:
            self._refuse_seed()
        if self.reaches_target:
            self.stop("target")
        bill = self._committed if self._settings.deterministic else self._bill
        if budget.tokens is not None and bill.tokens >= budget.tokens:
            self.stop("tokens")
        if budget.dollars is not None:
            if bill.dollars is None:
                raise UsageError(
                    "a limit in dollars needs prices, and a completion came without one; set "
                    "prompt_price and completion_price of the [[model]], or drop --dollars"
                )
            if bill.dollars >= budget.dollars:
                self.stop("dollars")
        if self._tally.is_exhausted:
            self.stop("exhausted")
        self._tally.check()

    def _refuse_seed(self) -> None:
        for outcome in self._store.outcomes():
            evaluation = outcome.evaluation
            if outcome.attempt.id == 0 and evaluation is not None:
                raise UsageError(
                    f"the seed program fails its own evaluation ({evaluation.status}); "
                    f"mend the program or the evaluator first:\n{evaluation.feedback}"
                )

    # --- one candidate ---------------------------------------------------------------------------

    async def _walk(self, attempt: Attempt) -> Outcome:
        """Walk one candidate from its decision to its verdict."""
        if attempt.operator == SEED:
            program = Program(
                attempt.id, self._seeds[attempt.id], self._base, island=attempt.island
            )
            fingerprint = await self._screening(attempt).welcome(program)
            return await self._judge(attempt, program, None, fingerprint)
        elites = self.population.elites
        context = Context(
            brief=self._brief,
            parent=elites[attempt.parent],  # type: ignore[index]  # only seeds have none
            inspirations=tuple(elites[id_] for id_ in attempt.inspirations),
            rng=Random(f"{self._settings.seed}/{attempt.id}/propose"),
            is_seen=partial(self.population.seen.holds, upto=attempt.seen),
            fits=partial(self.population.seen.fits, upto=attempt.seen),
            model=self._recorded(attempt),
            tried=self.population.tried(attempt.parent, upto=attempt.seen),  # type: ignore[arg-type]
        )
        operator = self._mix.operators[attempt.operator].operator
        repair: Repair | None = None
        if isinstance(operator, Repairing):
            repair = partial(self._mended, operator, context)
        try:
            proposal = await self._proposed(operator.propose(context))
            admitted = await self._screening(attempt).admit(context, proposal, repair)
        except ProposalError as error:
            return Outcome(attempt, "unproposed", str(error))
        if isinstance(admitted, str):
            return Outcome(attempt, "filtered", admitted)
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
            if self._tally.model_failed():
                raise
            raise ProposalError(str(error)) from error
        except EvolverError:
            raise
        except Exception as error:  # operators are plug-ins, a user's may raise anything
            said = f"the operator raised {type(error).__name__}: {error}"
            self._tally.operator_failed(said)
            raise ProposalError(said) from error
        self._tally.operator_faults = 0
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
            self._job_seed(0, "preflight"),
            partial(self.population.seen.twin, upto=attempt.seen),
        )

    def _recorded(self, attempt: Attempt) -> Model | None:
        if self._model is None or not self._mix.operators[attempt.operator].needs_model:
            return None
        return RecordedModel(self._model, self._store, attempt.id, self._slots, self._billed)

    def _billed(self, answers: Sequence[Completion]) -> None:
        self._bill = self._bill.plus(answers)
        self._tally.model_answered()

    async def _judge(
        self, attempt: Attempt, program: Program, tune: Tune | None, fingerprint: str
    ) -> Outcome:
        if tune is not None:
            tune = replace(tune, limit=min(tune.limit, self._ledger.granted(attempt.id)))
        evaluation = await self._executor.evaluate(
            Job(program, self._job_seed(attempt.id, "score"), tune)
        )
        evaluation = replace(evaluation, fingerprint=fingerprint)
        proposed = None if tune is None else program.files
        if evaluation.tuned is not None:
            program = replace(program, files=evaluation.tuned)
            evaluation = replace(evaluation, tuned=None)
        return Outcome(attempt, "evaluated", "", program, evaluation, proposed)

    def _job_seed(self, attempt: int, purpose: str) -> int:
        stream = f"{self._settings.seed}/{attempt}/{purpose}/{self._settings.secret}"
        return Random(stream).getrandbits(63)

    async def confirm(self) -> bool:
        """Measure the front again, with other secret inputs, before it is announced.

        A program that fails leaves the front, and what takes its place is measured too.
        Confirmations are stored and not counted; one that failed through the evaluator's fault is
        no verdict, and is asked for again at the next occasion.

        Returns:
            Whether the whole front is what was reached before.
        """
        done = dict(self._store.confirmations())
        unbroken = True
        while True:
            front = [elite.program for elite in self.population.front]
            waiting = [program for program in front if program.id not in done]
            if not waiting:
                return unbroken
            jobs = [Job(program, self._job_seed(program.id, "confirm")) for program in waiting]
            again = await _all(self._executor.evaluate(job) for job in jobs)
            for program, evaluation in zip(waiting, again, strict=True):
                done[program.id] = evaluation
                if evaluation.fault != "evaluator":
                    self._store.confirm(
                        program.id, evaluation, self.population.finished, self._next
                    )
            failed = self._failed({program.id: done[program.id] for program in waiting})
            self.population.disqualify(failed)
            unbroken = unbroken and not failed

    @staticmethod
    def _failed(confirmations: Mapping[int, Evaluation]) -> list[int]:
        return [
            id_ for id_, e in confirmations.items() if e.status != "ok" and e.fault != "evaluator"
        ]

    def reopen(self) -> None:
        """Let a stopped run go on: its target was reached by a program that did not confirm."""
        self._stopped = None
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
            islands.append((len(elites), elites[0].objectives[0] if elites else None))
        return Progress(
            evaluations=self._ledger.spent,
            budget=self._budget,
            attempts=self.population.finished,
            seconds=self.seconds,
            best_score=self.population.score,
            best=self.population.best(),
            front=tuple(self.population.front),
            islands=tuple(islands),
            operators=dict(self._tally.operators),
            statuses=dict(self._tally.statuses),
            bill=self._bill,
            in_flight=len(self._walks),
            message=message,
        )

    def _report(self, message: str, *, force: bool = False) -> None:
        now = time.monotonic()
        if self._listener is None or not (force or message or now - self._reported >= _HEARTBEAT):
            return
        self._reported = now
        self._listener(self.progress(message))


def _is_verdict(evaluation: Evaluation) -> bool:
    """Tell whether another program that computes the same would fare the same."""
    return evaluation.fault != "evaluator" and evaluation.status != "timeout"


async def _all(works: Iterable[Coroutine[None, None, Evaluation]]) -> list[Evaluation]:
    """Await all; when one fails or this is cancelled, none is left running."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
