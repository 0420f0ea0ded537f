"""Replay: run the attempts of a recorded run again from its facts, by the steps that made them.

Every decision is made anew, every prompt rendered, every stored completion parsed, every genetic
operator run; only answers of models and evaluations come from the store. The number of attempts
that each one had seen forces the order, and each session has its own steps, with its settings.
When a result differs, the replay notes it and goes on with the recorded one, so that one difference
does not hide another.
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
    """A result that differs from the recorded one."""

    attempt: int | None  # None: of the whole run
    what: str
    recorded: str
    replayed: str

    def __str__(self) -> str:
        """Describe it in one line."""
        shown = [text if len(text) <= 80 else f"{text[:77]}..." for text in
                (self.recorded, self.replayed)]  # fmt: skip
        where = "" if self.attempt is None else f"attempt {self.attempt}: "
        return f"{where}{self.what} was {shown[0]}, is {shown[1]}"


@dataclass(frozen=True)
class Replay:
    """The result of a replay.

    Attributes:
        attempts: finished attempts that were run again.
        differences: in decisions, programs, verdicts, scores and order; empty if all is equal.
        score: the best one at the end, as `Run.score`.
        prompts: attempts whose prompts differ, because templates or the task's texts changed.
        jobs: the evaluations, in commit order, with the stored results.
        measured: how many of these were measured again.
        noise: relative differences of scores up to this are attributed to chance.
        outdated: children that differ because the rules of the run no longer exist.
        gone: these rules, in sentences.
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
    """Run the attempts of a recorded run again.

    Args:
        record: of the run.
        playback: executor and model of the steps.
        steps_of: makes the steps of a session, on a store that holds the completions and
            pre-flights of the run, and the facts of the replay so far.
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
                steps.hold(one.attempt)  # it was still in flight
        for event in events:
            await asyncio.sleep(0)  # nothing else here awaits anything: let Ctrl-C in
            match event:
                case Attempt():
                    differences += _decide(steps, event, begun)
                    steps.begin(event)
                case Outcome():
                    made = await _finish(steps, event, playback)
                    # Changed rules do not affect the seed.
                    (
                        outdated if older and event.attempt.parent is not None else differences
                    ).extend(made)
                    finished += 1
                    # No prompt is heard if the session that ended it lacks the operator.
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
    """Return the prompts; a repetition that asks for more answers counts once."""
    return [words for words, _ in groupby((prompt.system, prompt.user) for prompt in prompts)]


def _decide(steps: Steps, recorded: Attempt, begun: dict[int, Attempt]) -> list[Difference]:
    """Decide an attempt again; `begun` holds the attempts so far, as possible leaders."""
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
            found.append(Difference(number, what, _written(old), _written(new)))
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
    differing = [(name, old, new) for name, old, new in pairs if old != new]
    return [Difference(number, name, _written(old), _written(new)) for name, old, new in differing]


def _written(value: object) -> str:
    return value if isinstance(value, str) else repr(value)
