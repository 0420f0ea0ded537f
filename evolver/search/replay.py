"""Replay: walk a recorded run again from its facts, by the steps that made it.

Every decision is made anew, every prompt rendered, every stored completion parsed, every genetic
operator run; only what models and evaluators said comes from the store. The order is forced by
what each attempt had seen, and each session has steps of its own, as it had then. Where something
comes out differently that is noted, and the replay goes on with what was recorded, so that one
difference does not hide behind another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from itertools import groupby

from evolver.search import rules
from evolver.search.playback import Playback
from evolver.search.record import LeftBehind, Record
from evolver.search.steps import Steps, following
from evolver.storage.facts import Attempt, Confirmation, Outcome, Round, Session
from evolver.storage.reader import Reader
from evolver.types import Evaluation, Job, Prompt


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
    ends = [f"{one.verdict} {one.full_reason}".strip() for one in (recorded, walked)]
    if ends[0] != ends[1]:
        return [Difference(number, "verdict", *ends)]
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
