"""Replay: walk a recorded run again from its facts, by the steps that made it.

Every decision is made anew, every prompt rendered, every stored completion parsed, every genetic
operator run; only what models and evaluators said comes from the store. The order is forced by
what each attempt had seen, and each session has steps of its own, as it had then. Where something
comes out differently that is noted, and the replay goes on with what was recorded, so that one
difference does not hide behind another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any

from evolver.errors import ProposalError
from evolver.operators.mix import Weighted
from evolver.ports import Conditional, Operator, Repairing
from evolver.search import rules
from evolver.search.steps import Steps, following
from evolver.storage.facts import NOT_MENDED, Attempt, Confirmation, Outcome, Round, Session
from evolver.storage.reader import Reader
from evolver.types import Completion, Context, Evaluation, Job, Model, Preflight, Prompt, Proposal


@dataclass(frozen=True)
class LeftBehind:
    """An attempt that was in flight when a run was forked, and is not part of the fork."""

    attempt: Attempt
    session: int  # in which it began
    until: int  # the session at whose end it was left


Event = Attempt | Outcome | Confirmation | Round | LeftBehind


@dataclass(frozen=True)
class Difference:
    """Something that did not come out as it was recorded."""

    attempt: int | None  # None: of the whole run
    what: str
    recorded: str
    replayed: str

    def __str__(self) -> str:
        """Say it in one line."""
        told = [text if len(text) <= 80 else f"{text[:77]}..." for text in
                (self.recorded, self.replayed)]  # fmt: skip
        where = "" if self.attempt is None else f"attempt {self.attempt}: "
        return f"{where}{self.what} was {told[0]}, is {told[1]}"


@dataclass(frozen=True)
class Replay:
    """What came of a replay.

    Attributes:
        attempts: finished attempts that were walked again.
        differences: in decisions, programs, verdicts, scores and order; none where all is well.
        score: the best one in the end, as `Run.score`.
        prompts: attempts whose prompts are rendered differently today: the templates or the
            task's texts have changed since.
        jobs: what was judged, in commit order, with the stored verdicts.
        measured: how many of these were judged again.
        noise: relative differences of scores up to this were put down to chance.
        outdated: children that come out differently because the run's rules are gone.
        gone: what rules these were, in sentences.
    """

    attempts: int
    differences: tuple[Difference, ...]
    score: float | None
    prompts: tuple[int, ...]
    jobs: tuple[tuple[Job, Evaluation], ...]
    measured: int = 0
    noise: float = 0.0
    outdated: tuple[Difference, ...] = ()
    gone: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """What was recorded of a run, in the order in which it happened."""

    store: Reader

    def by_session(self) -> Iterator[tuple[Session, Iterator[Event]]]:
        """Yield what happened in each session."""
        sessions = {session.id: session for session in self.store.sessions()}
        for number, group in groupby(self._placed(sessions), key=itemgetter(0)):
            yield sessions[number], map(itemgetter(1), group)

    def _placed(self, sessions: Mapping[int, Session]) -> Iterator[tuple[int, Event]]:
        """Yield what happened with the session in which it did."""
        began = {number: one.id for one in sessions.values() for number in one.begun}
        ended = {number: one.id for one in sessions.values() for number in one.finished}
        closed = {number: one.id for one in sessions.values() for number in one.closed}
        session = min(sessions)
        for event in self._events():
            if isinstance(event, Attempt):
                session = began[event.id]
            elif isinstance(event, Outcome):
                session = ended[event.attempt.id]
            elif isinstance(event, LeftBehind):
                session = event.session
            elif isinstance(event, Round):
                session = closed[event.number]
            yield session, event  # a confirmation comes after all else of its session

    def _events(self) -> Iterator[Event]:
        """Yield decisions, verdicts and confirmations in their order."""
        alone = [one for one in self.store.confirmations() if not one.round]
        rounds = [one for one in self.store.rounds() if one.is_closed]
        made: list[Confirmation | Round] = [*alone, *rounds]
        confirmations = deque(sorted(made, key=_moment))
        begun: list[Attempt | LeftBehind] = [*self.store.attempts(), *left_behind(self.store)]
        attempts = deque(sorted(begun, key=lambda one: (_decided(one).seen, _number(one))))
        for finished, outcome in enumerate(chain(self.store.outcomes(), (None,))):
            while attempts and _decided(attempts[0]).seen <= finished:
                while _is_due(confirmations, finished, _number(attempts[0])):
                    yield confirmations.popleft()
                yield attempts.popleft()
            while _is_due(confirmations, finished, None):
                yield confirmations.popleft()
            if outcome is not None:
                yield outcome
        yield from confirmations  # of older versions, which did not say when


def left_behind(store: Reader, finished: int | None = None) -> list[LeftBehind]:
    """Return what was in flight where a run was forked: they were counted when others began.

    Args:
        store: of a fork; with `finished` of a run that is to be forked after so many attempts.
        finished: see there.
    """
    facts = store.facts().get("left_behind", ())
    known = [LeftBehind(**{**row, "attempt": attempt_of(row["attempt"])}) for row in facts]
    if finished is None:
        return known
    kept = [outcome.attempt.id for outcome in islice(store.outcomes(), finished)]
    began = {number: one.id for one in store.sessions() for number in one.begun}
    ended = {number: one.id for one in store.sessions() for number in one.finished}
    known += [
        LeftBehind(attempt, began[attempt.id], ended[kept[-1]])
        for attempt in store.attempts()
        if attempt.id not in kept
    ]
    return sorted((one for one in known if one.attempt.seen < finished), key=_number)


def attempt_of(row: Mapping[str, Any]) -> Attempt:
    """Read an attempt from what `dataclasses.asdict` and JSON made of it."""
    return Attempt(**{**row, "inspirations": tuple(row["inspirations"])})


def _decided(event: Attempt | LeftBehind) -> Attempt:
    return event.attempt if isinstance(event, LeftBehind) else event


def _number(event: Attempt | LeftBehind) -> int:
    return _decided(event).id


def _moment(confirmation: Confirmation | Round) -> tuple[bool, int]:
    return confirmation.seen < 0, confirmation.seen


def _is_due(confirmations: deque[Confirmation | Round], finished: int, attempt: int | None) -> bool:
    """Tell whether the next confirmation was made before an attempt began (None: any more)."""
    if not confirmations or not 0 <= confirmations[0].seen <= finished:
        return False
    return attempt is None or confirmations[0].begun <= attempt


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
        reason = self.outcome.reason
        if self.outcome.verdict != "unproposed":
            reason = reason.partition(NOT_MENDED)[2]
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


async def walk_again(
    record: Record, playback: Playback, steps_of: Callable[[Session], Steps]
) -> Replay:
    """Walk a recorded run again.

    Args:
        record: what is to be walked.
        playback: what stands for executor and model.
        steps_of: makes the steps of a session, on a store that holds the completions and
            pre-flights of the run, and what has been walked of it so far.
    """
    differences: list[Difference] = []
    outdated: list[Difference] = []
    gone: dict[str, None] = {}
    prompts: list[int] = []
    finished = 0
    score: float | None = None
    begun: dict[int, Attempt] = {}
    left: list[LeftBehind] = []
    for session, events in record.by_session():
        steps = steps_of(session)
        older = rules.gone_since(steps.rules)
        gone |= dict.fromkeys(older)
        for one in left:
            if session.id <= one.until:
                steps.hold(one.attempt)  # it was still in flight, and began anew
        for event in events:
            await asyncio.sleep(0)  # nothing else here waits for anything: a moment for Ctrl-C
            match event:
                case Attempt():
                    differences += _decide(steps, event, begun)
                    steps.begin(event)
                case Outcome():
                    made = await _finish(steps, event, playback)
                    # The seed and what it is worth follow no rule that has changed.
                    (
                        outdated if older and event.attempt.parent is not None else differences
                    ).extend(made)
                    finished += 1
                    # Nothing is heard where the operator was gone in the session that ended it.
                    heard = _words(playback.heard)
                    if heard and heard != _words(record.store.prompts(event.attempt.id).values()):
                        prompts.append(event.attempt.id)
                case Confirmation() | Round():
                    differences += _confirm(steps, event, record.store)
                case LeftBehind():
                    differences += _decide(steps, event.attempt, begun)
                    steps.hold(event.attempt)
                    left.append(event)
        score = steps.views.population.score
    return Replay(
        finished,
        tuple(differences),
        score,
        tuple(prompts),
        tuple(playback.jobs),
        outdated=tuple(outdated),
        gone=tuple(gone),
    )


def _words(prompts: Iterable[Prompt]) -> list[tuple[str, str]]:
    """Return what was asked; the same again, for more answers, is no other question."""
    return [words for words, _ in groupby((prompt.system, prompt.user) for prompt in prompts)]


def _decide(steps: Steps, recorded: Attempt, begun: dict[int, Attempt]) -> list[Difference]:
    """Decide an attempt again; `begun` are those whose requests others may share."""
    number = recorded.id
    if recorded.leader is None:
        decided = steps.decide(number, steps.operator_of(number), recorded.reserved)
    else:
        decided = following(begun[recorded.leader], number, recorded.reserved)
    begun[number] = recorded
    return _compared(number, recorded, decided)


async def _finish(steps: Steps, recorded: Outcome, playback: Playback) -> list[Difference]:
    playback.wind(recorded)
    number = recorded.attempt.id
    walked = await steps.run(recorded.attempt)
    steps.commit(recorded)
    if (walked.verdict, walked.reason) != (recorded.verdict, recorded.reason):
        return [
            Difference(number, "verdict", *(f"{one.verdict} {one.reason}".strip()
                                            for one in (recorded, walked)))
        ]  # fmt: skip
    found = []
    if walked.program is not None and recorded.program is not None:
        found += _compared(number, recorded.program, walked.program)
    for what in ("proposed", "summary"):
        old, new = getattr(recorded, what), getattr(walked, what)
        if old != new:
            found.append(Difference(number, what, _told(old), _told(new)))
    return found


def _confirm(steps: Steps, recorded: Confirmation | Round, store: Reader) -> list[Difference]:
    """Take measurements from the record; whose they are is decided again."""
    if isinstance(recorded, Confirmation):
        front = [elite.program.id for elite in steps.views.population.front]
        steps.confirm(recorded)
        if recorded.program in front:
            return []
        return [Difference(recorded.program, "front at a confirmation", "with it", "without it")]
    chosen = steps.contenders()
    steps.close(recorded, [row for row in store.confirmations() if row.round == recorded.number])
    if recorded.asked is not None or chosen == recorded.programs:
        return []
    what = f"programs of round {recorded.number}"
    return [Difference(None, what, repr(recorded.programs), repr(chosen))]


def _compared(number: int, recorded: object, walked: object) -> list[Difference]:
    """Compare two records of one kind, field by field."""
    assert type(recorded) is type(walked)
    pairs = [
        (field.name, getattr(recorded, field.name), getattr(walked, field.name))
        for field in fields(recorded)  # type: ignore[arg-type]  # all records are dataclasses
    ]
    return [
        Difference(number, name, _told(old), _told(new)) for name, old, new in pairs if old != new
    ]


def _told(value: object) -> str:
    return value if isinstance(value, str) else repr(value)
