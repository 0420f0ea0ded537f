"""What a run learns of its edits, and which operator's turn it is."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from number_runs import OBJECTIVE, Step, engine_on, measure

from evolver.errors import CandidateError
from evolver.evaluation.executors.inline import InlineExecutor
from evolver.operators.genetic import Crossover, Mutate, Refit
from evolver.operators.mix import Mix, Weighted
from evolver.operators.summaries import edits_of, labelled, summary_of
from evolver.search.credit import Credit
from evolver.storage.facts import Attempt, Outcome
from evolver.storage.store import Store
from evolver.types import Context, Evaluation, Preflight, Program, Proposal

from .genetic_programs import PROGRAMS, context, propose

STATUSES = ("ok", "same", "crashed", "timeout", "rejected", "filtered")


def outcome(number: int, kinds: tuple[str, ...], status: str) -> Outcome:
    """Return what came of an attempt to edit program 0."""
    summary = summary_of(labelled(kind, "a -> b") for kind in kinds)
    attempt = Attempt(number, number, "mutate", 0, 0)
    if status == "filtered":
        return Outcome(attempt, "filtered", "a traceback", summary=summary)
    program = Program(number, {}, summary=summary)
    metrics = {"v": 1.0 if status == "same" else float(number + 1)}
    verdict = Evaluation("ok" if status == "same" else status, metrics=metrics)  # type: ignore[arg-type]
    return Outcome(attempt, "evaluated", "", program, verdict)


def seeded() -> Credit:
    credit = Credit()
    seed = Program(0, {})
    credit.record(
        Outcome(Attempt(0, 0, "seed", 0, None), "evaluated", "", seed, Evaluation("ok", {"v": 1.0}))
    )
    return credit


def test_the_kinds_of_edits_are_read_off_the_summary() -> None:
    assert edits_of("insert: a -> a + 1; swap_statements: x = 1 <-> y = 2") == (
        "insert",
        "swap_statements",
    )
    assert edits_of("Use a faster sort: it halves the time") == ()


def test_a_genetic_child_names_its_edits() -> None:
    kinds = edits_of(propose(Mutate(edits=(0, 1)), context(PROGRAMS["sort"], 3)).summary)
    assert len(kinds) == 2


@pytest.mark.parametrize(
    ("status", "rises"),
    [(each, each in ("ok", "rejected")) for each in STATUSES],
)
def test_what_does_not_run_or_changes_nothing_loses_its_share(status: str, rises: bool) -> None:
    credit = seeded()
    for number in range(1, 60):
        credit.record(outcome(number, ("insert",), status))
    share = credit.shares(upto=1000)["insert"]
    assert share == 1.0 if rises else share < 0.1


def test_a_share_comes_back() -> None:
    credit = seeded()
    for number in range(1, 200):
        credit.record(outcome(number, ("insert",), "crashed" if number < 100 else "ok"))
    assert credit.shares(upto=100)["insert"] < 0.02
    assert credit.shares(upto=1000)["insert"] > 0.95


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["insert", "delete", "guard"]), min_size=1, max_size=3),
            st.sampled_from(STATUSES),
        ),
        max_size=30,
    ),
    st.integers(0, 31),
)
@examples(50)
def test_shares_are_those_of_the_moment_that_is_asked_for(
    made: list[tuple[list[str], str]], upto: int
) -> None:
    """Whatever finished later, an attempt is told what was known when it began."""
    whole, begun = seeded(), seeded()
    for number, (kinds, status) in enumerate(made, start=1):
        whole.record(outcome(number, tuple(kinds), status))
        if number < upto:
            begun.record(outcome(number, tuple(kinds), status))
    if upto:
        assert whole.shares(upto=upto) == begun.shares(upto=10**6)
    assert all(0 <= share <= 1 for share in whole.shares(upto=10**6).values())


def test_an_operator_follows_the_credit() -> None:
    def counted(credit: dict[str, float]) -> int:
        found = 0
        for seed in range(60):
            at = context(PROGRAMS["sort"], seed)
            at = Context(at.brief, at.parent, (), at.rng, at.is_seen, credit=credit)
            found += "insert" in edits_of(propose(Mutate(edits=(1,)), at).summary)
        return found

    assert counted({"insert": 0.05}) < counted({}) / 2


# --- whose turn it is ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Needs another program, as crossover does."""

    async def propose(self, context: Context) -> Proposal:
        assert context.inspirations
        return await Step().propose(context)

    def can_propose(self, context: Context) -> bool:
        return bool(context.inspirations)


def test_an_operator_that_cannot_is_passed_over_and_keeps_its_share() -> None:
    mix = Mix([Weighted("one", Step(), 1.0), Weighted("two", Pair(), 3.0)])
    for _ in range(10):
        name = mix.choose(lambda name: name == "one")
        assert name == "one"
        mix.begin(name)
        mix.finish(name, 1)
    assert mix.choose() == "two"
    assert mix.choose(lambda _name: False) == "two"  # where none can, whose turn it would be
    turns = Counter[str](one=10)
    for _ in range(190):
        name = mix.choose()
        turns[name] += 1
        mix.begin(name)
        mix.finish(name, 1)
    assert turns == {"one": 50, "two": 150}


def test_crossover_and_refit_know_when_they_find_nothing() -> None:
    files = PROGRAMS["sort"]
    assert not Crossover().can_propose(context(files, 0))
    assert Crossover().can_propose(context(files, 0, inspirations=[PROGRAMS["straight"]]))
    assert not Refit().can_propose(context({"f.py": b"def f(x):\n    return x\n"}, 0))
    at = context(PROGRAMS["straight"], 0)
    assert Refit().can_propose(at)
    often = Context(at.brief, at.parent, (), at.rng, at.is_seen, fits=lambda _files: 8)
    assert not Refit().can_propose(often)


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path, {}, "test")
    yield store
    store.close()


PAIRED = [Weighted("step", Step(), 1.0), Weighted("pair", Pair(), 1.0)]


@pytest.mark.parametrize("rules", [1, 2])
def test_no_attempt_is_spent_on_an_operator_that_knows_that_it_cannot(store, rules):
    engine = engine_on(store, operators=PAIRED, rules=rules, deterministic=True)
    asyncio.run(engine.run())
    outcomes = list(store.outcomes())
    failed = [o for o in outcomes if o.verdict == "unproposed"]
    assert bool(failed) == (rules < 2)
    turns = Counter(o.attempt.operator for o in outcomes)
    assert turns["pair"] > 20
    again = engine_on(store, operators=PAIRED, rules=rules, deterministic=True)
    assert again.steps.operator_of(10**6) == engine.steps.operator_of(10**6)


# --- a pre-flight where an evaluation is slow ---------------------------------------------------


@dataclass(frozen=True)
class Slow(InlineExecutor):
    """Says that its evaluations take their time; refuses in a pre-flight what `measure` would."""

    seconds: float = 2.0

    async def evaluate(self, job):
        return replace(await super().evaluate(job), seconds=self.seconds)

    async def preflight(self, job):
        try:
            self.measure(job.program)
        except CandidateError as error:
            return Preflight(str(error), seconds=0.01)
        return Preflight(seconds=0.01)


@pytest.mark.parametrize(
    ("seconds", "rules", "deterministic", "has_preflights"),
    [
        (2.0, 2, False, True),
        (0.2, 2, False, True),
        (0.05, 2, False, False),
        (2.0, 1, False, False),
        (2.0, 2, True, False),
    ],
)
def test_a_crash_costs_no_evaluation_where_one_is_slow(
    store, seconds, rules, deterministic, has_preflights
):
    executor = Slow(measure, OBJECTIVE, seconds=seconds)
    engine = engine_on(store, executor=executor, rules=rules, deterministic=deterministic)
    asyncio.run(engine.run())
    crashed = [
        o for o in store.outcomes() if o.evaluation is not None and o.evaluation.status == "crashed"
    ]
    assert bool(crashed) != has_preflights
    assert (store.preflight_counts().failed > 0) == has_preflights
