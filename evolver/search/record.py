"""The record of a run, in the order in which it happened."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any

from evolver.storage.facts import Attempt, Confirmation, Outcome, Round, Session
from evolver.storage.reader import Reader


@dataclass(frozen=True)
class LeftBehind:
    """An attempt that was in flight when a run was forked, and is not part of the fork."""

    attempt: Attempt
    session: int  # in which it began
    until: int  # the session at whose end it was left


Event = Attempt | Outcome | Confirmation | Round | LeftBehind


@dataclass(frozen=True)
class Record:
    """The stored events of a run, in the order in which they happened."""

    store: Reader

    def by_session(self) -> Iterator[tuple[Session, Iterator[Event]]]:
        """Yield the events of each session."""
        sessions = {session.id: session for session in self.store.sessions()}
        for number, group in groupby(self._placed(sessions), key=itemgetter(0)):
            yield sessions[number], map(itemgetter(1), group)

    def _placed(self, sessions: Mapping[int, Session]) -> Iterator[tuple[int, Event]]:
        """Yield the events with their sessions."""
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
            yield session, event  # a confirmation is the last event of its session

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
        yield from confirmations  # of older versions, which did not store when


def left_behind(store: Reader, finished: int | None = None) -> list[LeftBehind]:
    """Return what was in flight where a run was forked: they were counted when others began.

    Args:
        store: of a fork, or of a run that is to be forked.
        finished: after how many attempts it is to be forked; None: the store is of a fork.
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
    """Read an attempt from the JSON of its `dataclasses.asdict`."""
    return Attempt(**{**row, "inspirations": tuple(row["inspirations"])})


def _decided(event: Attempt | LeftBehind) -> Attempt:
    return event.attempt if isinstance(event, LeftBehind) else event


def _number(event: Attempt | LeftBehind) -> int:
    return _decided(event).id


def _moment(confirmation: Confirmation | Round) -> tuple[bool, int]:
    return confirmation.seen < 0, confirmation.seen


def _is_due(confirmations: deque[Confirmation | Round], finished: int, attempt: int | None) -> bool:
    """Tell whether the next confirmation was made before an attempt (None: any other) began."""
    if not confirmations or not 0 <= confirmations[0].seen <= finished:
        return False
    return attempt is None or confirmations[0].begun <= attempt
