"""What operators are told of the past: inspirations, and what was tried."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolver.search.archives import BestN, First
from evolver.search.population import Island, Population, trial_of
from evolver.search.selection import Tournament
from evolver.storage.facts import Attempt, Outcome
from evolver.tasks.objective import Objective
from evolver.types import Elite, Evaluation, Program, Trial


def population(archive=BestN, **settings) -> Population:
    return Population(Objective(("value",)), lambda: Island(archive(), Tournament()), **settings)


def elite(number: int, value: float) -> Elite:
    files = {"n.txt": str(number).encode()}
    evaluation = Evaluation("ok", {"value": value}, objectives=(value,))
    return Elite(Program(number, files, summary=f"change {number}"), evaluation)


ATTEMPT = Attempt(1, 0, "diff", 0, 0, model="m")


def finished(each: Elite, parent: int | None = None) -> Outcome:
    attempt = replace(ATTEMPT, id=each.program.id, parent=parent)
    return Outcome(attempt, "evaluated", "", each.program, each.evaluation)


def judged(status: str = "ok", **more) -> Trial | None:
    program = Program(1, {}, summary=more.pop("summary", "x"))
    return trial_of(Outcome(ATTEMPT, "evaluated", "", program, Evaluation(status, **more)))


def test_a_trial_says_what_changed_and_what_it_did() -> None:
    assert judged(objectives=(1.0,), feedback="fine") == Trial("x", "ok", (1.0,))
    crash = "Traceback:\n  f()\nValueError: no\n"
    assert judged("crashed", feedback=crash) == Trial("x", "crashed", None, "ValueError: no")
    assert judged("crashed", feedback=crash, printed="hello") == judged("crashed", feedback=crash)
    long = judged("timeout", feedback="t" * 900)
    assert long is not None
    assert len(long.reason) == 200


def test_a_child_that_was_not_measured_is_told_of_too() -> None:
    reason = "Traceback:\nNameError: name 'y'"
    filtered = Outcome(
        ATTEMPT, "filtered", reason, summary="use y", repair_failure="the answer holds no edit"
    )
    assert trial_of(filtered) == Trial("use y", "filtered", None, "NameError: name 'y'")
    assert trial_of(Outcome(ATTEMPT, "filtered", reason)) is None
    assert trial_of(Outcome(ATTEMPT, "unproposed", "no answer")) is None
    assert trial_of(replace(filtered, attempt=replace(ATTEMPT, model=""))) is None


@pytest.mark.parametrize(
    "nothing",
    [
        {"objectives": (9.0,), "flags": ("it opened a decoy",)},
        {"status": "rejected", "flags": ("it returned the decoy key",)},
        {"status": "crashed", "fault": "evaluator", "feedback": "NameError"},
        {"objectives": (9.0,), "summary": ""},
    ],
)
def test_what_is_not_honest_or_not_said_teaches_nothing(nothing) -> None:
    assert judged(**nothing) is None


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=40),
    st.integers(0, 50),
    st.integers(1, 5),
)
def test_what_was_tried_is_a_function_of_the_first_attempts_that_were_seen(
    attempts: list[tuple[int, bool]], upto: int, trials: int
) -> None:
    whole, early = population(trials=trials), population(trials=trials)
    for number, (parent, is_told) in enumerate(attempts):
        attempt = replace(ATTEMPT, id=number, parent=parent)
        summary = f"change {number}" if is_told else ""
        outcome = Outcome(attempt, "filtered", "seen before", summary=summary)
        whole.record(outcome)
        if number < upto:
            early.record(outcome)
    for parent in range(3):
        told = [
            f"change {number}"
            for number, (other, is_told) in enumerate(attempts[:upto])
            if other == parent and is_told
        ]
        found = whole.tried(parent, upto)
        assert [trial.summary for trial in found] == told[-trials:]
        assert found == early.tried(parent, upto)


def test_none_are_told_where_nothing_evolves() -> None:
    still = population(First, trials=0)
    for number in range(9):
        still.record(finished(elite(number, float(number)), parent=0))
    assert still.tried(0, 9) == ()
    for attempt in range(20):
        chosen = still.select(attempt, Random(attempt))
        assert (chosen.parent.program.id, chosen.inspirations) == (0, ())
    assert still.score == 8.0


def test_a_program_that_did_not_confirm_is_no_inspiration() -> None:
    made = population()
    for number in range(6):
        made.record(finished(elite(number, float(number))))

    def inspirations() -> set[int]:
        chosen = [made.select(0, Random(seed)) for seed in range(60)]
        assert all(list(c.inspirations) == sorted(c.inspirations, key=lambda e: e.objectives)
                   for c in chosen)  # fmt: skip
        return {e.program.id for c in chosen for e in c.inspirations}

    assert inspirations() == set(range(6))
    made.disqualify([5, 2])
    assert inspirations() == {0, 1, 3, 4}


def test_a_diverse_inspiration_is_another_idea() -> None:
    made = population()
    sources = [b"a\nb\nc\n", b"a\nb\nd\n", b"a\nb\ne\n", b"a\nb\nf\n", b"x\ny\nz\n"]
    for number, source in enumerate(sources):
        each = elite(number, 5.0 - number)
        program = Program(number, {"n.txt": source})
        made.record(finished(Elite(program, each.evaluation)))
    for seed in range(40):
        chosen = made.select(0, Random(seed), diverse=True)
        ids = {e.program.id for e in chosen.inspirations}
        assert len(ids) == 2
        assert 4 in ids | {chosen.parent.program.id}  # four are drawn of at most four
        assert chosen == made.select(0, Random(seed), diverse=True)


def test_a_fork_with_fewer_islands_has_a_place_for_every_program() -> None:
    made = population(islands=2)
    for number in range(6):
        outcome = finished(elite(number, float(number)))
        made.record(replace(outcome, attempt=replace(outcome.attempt, island=number)))
    homes = [{e.program.id for e in island.archive.elites()} for island in made.islands]
    assert homes == [{0, 2, 4}, {0, 1, 3, 5}]
