"""Before something is announced it is measured again: rounds, their size, and what they change."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from number_runs import OBJECTIVE, engine_on, measure

from evolver.evaluation.executors.inline import InlineExecutor
from evolver.operators.mix import Weighted
from evolver.routing.budget import Budget
from evolver.search.evidence import establishes
from evolver.search.rules import CURRENT
from evolver.storage.database import DATABASE
from evolver.storage.store import Store
from evolver.tasks.objective import Objective
from evolver.types import Context, Evaluation, Job, Program, Proposal


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path, {}, "test")
    yield store
    store.close()


@dataclass(frozen=True)
class Telling(InlineExecutor):
    """Keeps which programs it was to measure again, and with which seeds."""

    asked: list[Job] = field(default_factory=list)

    async def evaluate(self, job):
        if job.is_confirmation:
            self.asked.append(job)
        return await super().evaluate(job)

    @property
    def measured(self):
        return [job.program.id for job in self.asked]


@dataclass(frozen=True)
class Noisy(Telling):
    """The number is what a program is worth, and each measurement is off by a random amount."""

    noise: float = 30.0
    seconds: float = 0.0
    luck: float = 1.0  # how much more it is off in the search

    async def evaluate(self, job):
        evaluation = await super().evaluate(job)
        if evaluation.objectives is None:
            return evaluation
        # Two programs differ on the same inputs too, as times do.
        chance = Random(f"{job.seed} {job.program.files['n.txt']!r}")
        off = self.noise * (1.0 if job.is_confirmation else self.luck)
        value = evaluation.objectives[0] + chance.gauss(0, off)
        return replace(
            evaluation, metrics={"value": value}, objectives=(value,), seconds=self.seconds
        )


@dataclass(frozen=True)
class Doubting(Telling):
    """What is worth much crashes when it is measured again."""

    async def evaluate(self, job):
        evaluation = await super().evaluate(job)
        if job.is_confirmation and int(job.program.files["n.txt"]) > 100:
            return Evaluation("crashed", feedback="not again", fault="candidate")
        return evaluation


@dataclass(frozen=True)
class Idle:
    """Changes nothing that counts: each child is worth what the seed is."""

    async def propose(self, context: Context) -> Proposal:
        return Proposal({"n.txt": b"1 %d" % context.rng.randrange(10**9)})


def worth(program: Program) -> dict[str, float]:
    return {"value": float(program.files["n.txt"].split()[0])}


IDLE = [Weighted("idle", Idle(), 1.0)]


async def session(engine):
    """Work as a session does; return why it stopped."""
    while True:
        if engine.is_confirming:
            await engine.confirm()
        reason = await engine.run()
        await engine.confirm()
        if engine.reaches_target or reason != "target":
            return "target" if engine.reaches_target else reason
        engine.reopen()


def established(engine) -> bool:
    population = engine.population
    return establishes(population.evidence, population.front, population.objective)


# --- how many, whom ------------------------------------------------------------------------------


def test_an_evaluator_that_repeats_itself_is_asked_once(store):
    executor = Telling(lambda p: {"value": measure(p)["value"] + 0.123456789}, OBJECTIVE)
    engine = engine_on(store, executor=executor, evaluations=20)
    asyncio.run(session(engine))
    (round_,) = store.rounds()
    assert round_.is_exact
    assert sorted(executor.measured) == sorted(round_.programs)
    best, runner_up, seed = round_.programs
    assert seed == 0
    ranked = sorted(engine.population.elites.values(), key=lambda e: e.objectives, reverse=True)
    assert [best, runner_up] == [elite.program.id for elite in ranked[:2]]
    assert established(engine)
    assert engine.progress().evaluations == 20
    asyncio.run(engine.confirm())
    assert len(store.rounds()) == 1


def test_counts_that_come_out_twice_are_asked_a_few_times_more(store):
    """Three programs that are heads twice are no proof that the coin has one side."""
    executor = Telling(measure, OBJECTIVE)
    asyncio.run(session(engine_on(store, executor=executor, evaluations=20)))
    (round_,) = store.rounds()
    assert round_.is_exact
    assert len(executor.asked) == 3 * round_.first == 9


@pytest.mark.parametrize(
    ("seconds", "deterministic", "repeats", "expected"),
    [
        (0.0, False, None, 20),  # it takes no time
        (50.0, False, None, 7),  # a tenth of the run's seconds is less than one repeat
        (50.0, True, None, 20),  # no run may depend on time
        (0.0, False, 30, 30),
        (50.0, False, 4, 4),
        (0.0, False, 1, 1),
    ],
)
def test_the_number_is_fixed_beforehand(store, seconds, deterministic, repeats, expected):
    executor = Noisy(measure, OBJECTIVE, seconds=seconds)
    settings = {"deterministic": deterministic, "repeats": repeats}
    engine = engine_on(store, executor=executor, evaluations=20, **settings)
    asyncio.run(session(engine))
    (round_,) = store.rounds()
    assert len(executor.asked) == expected * len(round_.programs) == 3 * expected
    for program in round_.programs:
        known = engine.population.evidence.confirmed[program]
        assert len(known.repeats) == expected


def test_all_programs_of_a_round_have_the_same_fresh_inputs(store):
    executor = Noisy(measure, OBJECTIVE)
    asyncio.run(session(engine_on(store, executor=executor, evaluations=20)))
    seeds = {}
    for job in executor.asked:
        seeds.setdefault(job.program.id, []).append(job.seed)
    assert len(seeds) == 3
    first, *others = (sorted(own) for own in seeds.values())
    assert len(set(first)) == 20
    assert all(own == first for own in others)


@dataclass(frozen=True)
class Strict(Telling):
    """`confirm` finds a multiple of what `evaluate` finds, and repeats it exactly."""

    factor: float = 1.0

    async def evaluate(self, job):
        evaluation = await super().evaluate(job)
        if not job.is_confirmation or evaluation.objectives is None:
            return evaluation
        value = evaluation.objectives[0] * self.factor
        return replace(evaluation, metrics={"value": value}, objectives=(value,))


@pytest.mark.parametrize(("factor", "repeats"), [(1.0, 1), (1 / math.pi, 2)])
def test_a_confirm_that_repeats_itself_is_asked_no_more_than_it_takes(store, factor, repeats):
    """Once where it finds what the search found, else once more; in later rounds once."""
    executor = Strict(
        lambda p: {"value": measure(p)["value"] * math.pi**2}, OBJECTIVE, factor=factor
    )
    engine = engine_on(store, executor=executor, evaluations=20, is_strict=True)
    asyncio.run(session(engine))
    (round_,) = store.rounds()
    assert round_.is_exact
    assert len(executor.asked) == repeats * len(round_.programs)
    assert established(engine)
    before = len(executor.asked)
    other = next(n for n in engine.population.elites if n not in round_.programs)
    asyncio.run(engine.measure_again(other))
    _, later = store.rounds()
    assert later.is_exact
    assert executor.measured[before:] == [other, 0]


def test_a_noisy_confirm_is_asked_as_often_as_any_noisy_evaluator(store):
    executor = Noisy(measure, OBJECTIVE)
    asyncio.run(session(engine_on(store, executor=executor, evaluations=20, is_strict=True)))
    (round_,) = store.rounds()
    assert not round_.is_exact
    assert len(executor.asked) == 20 * len(round_.programs)


# --- what it changes -----------------------------------------------------------------------------


def test_the_mean_is_what_a_program_is_worth_from_then_on(tmp_path):
    store = Store.create(tmp_path, {}, "test")
    executor = Noisy(measure, OBJECTIVE, noise=40.0)
    engine = engine_on(store, executor=executor, evaluations=40)
    asyncio.run(session(engine))
    population = engine.population
    rows = store.confirmations()
    for program in population.evidence.confirmed:
        values = [r.evaluation.objectives[0] for r in rows if r.program == program]
        mean = pytest.approx(sum(values) / len(values))
        assert population.elites[program].objectives == (mean,)
        assert population.elites[program].evaluation.metrics == {"value": mean}
        held = [
            elite.objectives
            for island in population.islands
            for elite in island.archive.elites()
            if elite.program.id == program
        ]
        assert all(objectives == (mean,) for objectives in held)
    for island in population.islands:
        values = [elite.objectives for elite in island.archive.elites()]
        assert values == sorted(values, reverse=True)
    assert population.score == max(
        population.elites[program].objectives[0] for program in population.evidence.confirmed
    )
    store.close()
    store = Store.resume(tmp_path, "test")
    again = engine_on(store, executor=executor, evaluations=40).population
    assert again.score == population.score
    assert [e.objectives for e in again.front] == [e.objectives for e in population.front]
    assert again.elites == population.elites
    for one, other in zip(again.islands, population.islands, strict=True):
        assert list(one.archive.elites()) == list(other.archive.elites())
    store.close()


def test_what_fails_is_not_announced_nor_is_anything_unconfirmed(tmp_path):
    store = Store.create(tmp_path, {}, "test")
    engine = engine_on(store, executor=Doubting(measure, OBJECTIVE), evaluations=60)
    asyncio.run(session(engine))
    again = {made.program: made.evaluation for made in store.confirmations()}
    assert "crashed" in {evaluation.status for evaluation in again.values()}
    for elite in engine.population.front:
        assert elite.objectives[0] <= 100
        assert again[elite.program.id].status == "ok"
    # What takes its place is measured too: the best of all that does not fail is announced.
    honest = [e for e in engine.population.elites.values() if e.objectives[0] <= 100]
    assert engine.population.score == max(e.objectives[0] for e in honest)
    score = engine.population.score
    store.close()
    store = Store.resume(tmp_path, "test")
    assert engine_on(store, evaluations=60).population.score == score
    store.close()


def test_a_failed_program_is_not_measured_to_the_end(store):
    executor = Doubting(measure, OBJECTIVE, slots=1)
    engine = engine_on(store, executor=executor, evaluations=60, repeats=20)
    asyncio.run(session(engine))
    failed = engine.population.evidence.failed
    assert failed
    assert all(executor.measured.count(program) == 1 for program in failed)


def test_the_evaluators_own_failure_is_no_verdict_and_is_asked_for_again(tmp_path):
    class Broken(Telling):
        async def evaluate(self, job):
            if job.is_confirmation:
                return Evaluation("crashed", feedback="KeyError", fault="evaluator")
            return await super().evaluate(job)

    store = Store.create(tmp_path, {}, "test")
    engine = engine_on(store, executor=Broken(measure, OBJECTIVE), evaluations=20)
    asyncio.run(session(engine))
    assert engine.population.evidence.confirmed == {}
    assert engine.population.evidence.failed == set()
    store.close()
    store = Store.resume(tmp_path, "test")
    engine = engine_on(store, executor=Telling(measure, OBJECTIVE), evaluations=20)
    asyncio.run(session(engine))
    assert engine.population.front[0].program.id in engine.population.evidence.confirmed
    store.close()


# --- claims --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_in_which_nothing_is_better_says_so(tmp_path):
    """In 200 runs and two looks at each, at most 5 % may claim an improvement, give or take."""
    runs, claims, ends = 200, 0, []
    for number in range(runs):
        folder = tmp_path / str(number)
        folder.mkdir()
        with closing(Store.create(folder, {}, "test")) as store:
            executor = Noisy(worth, OBJECTIVE)
            claimed = False
            for evaluations in (12, 24):
                engine = engine_on(
                    store,
                    executor=executor,
                    operators=IDLE,
                    evaluations=evaluations,
                    seed=number,
                    repeats=8,
                )
                asyncio.run(session(engine))
                claimed = claimed or established(engine)
            claims += claimed
            population = engine.population
            ends.append(population.score)
            assert population.search_score >= population.score
    assert claims <= 0.05 * runs + 2.5 * math.sqrt(0.05 * 0.95 * runs)
    assert abs(sum(ends) / runs - 1.0) < 15.0  # the best of a few means, not of many draws


@pytest.mark.parametrize("seed", range(5))
def test_what_is_better_is_said_to_be(store, seed):
    engine = engine_on(store, executor=Noisy(measure, OBJECTIVE), evaluations=60, seed=seed)
    asyncio.run(session(engine))
    assert established(engine)
    assert engine.population.front[0].program.id != 0


def test_later_rounds_measure_what_is_new_and_the_seed(tmp_path):
    Store.create(tmp_path, {}, "test").close()
    for evaluations in (20, 40, 60):
        with closing(Store.resume(tmp_path, "test")) as store:
            engine = engine_on(store, executor=Noisy(measure, OBJECTIVE), evaluations=evaluations)
            asyncio.run(session(engine))
            rounds = store.rounds()
    assert len(rounds) == 3
    measured = [program for one in rounds for program in one.programs]
    assert measured.count(0) == 3
    assert all(measured.count(program) == 1 for program in measured if program)
    assert len(engine.population.evidence.confirmed[0].repeats) == 60


def test_several_objectives_have_their_whole_front_confirmed(store):
    both = Objective(("value", "other"), (), (), {"value": -500.0, "other": -500.0})

    def two(program):
        value = float(program.files["n.txt"].split()[0])
        return {"value": value + 0.1234567, "other": -abs(value) / 3}

    class Both(Telling):
        async def evaluate(self, job):
            evaluation = await super().evaluate(job)
            if evaluation.objectives is None:
                return evaluation
            off = Random(job.seed).gauss(0, 5)
            first, second = evaluation.objectives
            return replace(
                evaluation,
                metrics={"value": first + off, "other": second},
                objectives=(first + off, second),
            )

    executor = Both(two, both)
    engine = engine_on(store, executor=executor, evaluations=30, objective=both)
    asyncio.run(session(engine))
    (round_,) = store.rounds()
    assert set(round_.programs) == {*executor.measured}
    assert len(round_.programs) > 3
    confirmed = engine.population.evidence.confirmed
    assert {elite.program.id for elite in engine.population.front} <= set(confirmed)
    assert engine.population.score == both.score(
        elite.objectives for elite in engine.population.front
    )


# --- kills ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop_at", [1, 4, 30, 59])
def test_a_kill_in_the_middle_repeats_no_measurement(tmp_path, stop_at):
    class KillError(Exception):
        pass

    class Dying(Noisy):
        async def evaluate(self, job):
            evaluation = await super().evaluate(job)
            if len(self.asked) > stop_at:
                raise KillError
            return evaluation

    def end(folder, *executors):
        folder.mkdir()
        Store.create(folder, {}, "test").close()
        for executor in executors:
            with closing(Store.resume(folder, "test")) as store:
                engine = engine_on(
                    store, executor=executor, evaluations=20, deterministic=True, in_flight=1
                )
                try:
                    asyncio.run(session(engine))
                except KillError:
                    continue
                return (
                    [(r.program, r.repeat, r.evaluation.objectives) for r in store.confirmations()],
                    engine.population.score,
                )
        raise AssertionError

    whole, score = end(tmp_path / "whole", Noisy(measure, OBJECTIVE))
    dying, after = Dying(measure, OBJECTIVE, slots=1), Noisy(measure, OBJECTIVE)
    rows, again = end(tmp_path / "killed", dying, after)
    assert sorted(rows) == sorted(whole)
    assert again == score
    assert len(after.asked) == len(whole) - stop_at


def test_after_a_round_was_lost_the_next_has_a_number_of_its_own(tmp_path):
    Store.create(tmp_path, {}, "test").close()
    for evaluations in (20, 40, 60):
        if evaluations == 60:
            with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
                database.execute("DELETE FROM rounds WHERE number = 1")
                database.execute("DELETE FROM closings WHERE round = 1")
                database.execute("DELETE FROM evaluations WHERE round = 1")
        with closing(Store.resume(tmp_path, "test")) as store:
            engine = engine_on(
                store, executor=Noisy(measure, OBJECTIVE), evaluations=evaluations, in_flight=1
            )
            asyncio.run(session(engine))
            numbers = [one.number for one in store.rounds()]
    assert numbers == [2, 3]


# --- targets -------------------------------------------------------------------------------------


def test_a_lucky_draw_does_not_reach_the_target_nor_make_the_run_crawl(store):
    executor = Noisy(worth, OBJECTIVE)
    budget = Budget(target=40.0, evaluations=600)
    engine = engine_on(store, executor=executor, operators=IDLE, budget=budget)
    assert asyncio.run(session(engine)) == "evaluations"
    assert engine.population.search_score > 40
    assert engine.progress().evaluations == 600
    assert len(store.rounds()) > 1
    assert len(executor.asked) <= 0.25 * 600 + 2 * 60


def test_a_confirmed_value_reaches_the_target(store):
    budget = Budget(target=300.0, evaluations=600)
    engine = engine_on(store, executor=Noisy(measure, OBJECTIVE), budget=budget)
    assert asyncio.run(session(engine)) == "target"
    assert engine.population.score >= 300
    assert engine.progress().evaluations < 600


def test_a_target_whose_program_fails_when_measured_again_is_not_reached(store):
    budget = Budget(target=101.0, evaluations=80)
    engine = engine_on(store, budget=budget, executor=Doubting(measure, OBJECTIVE))
    assert asyncio.run(session(engine)) == "evaluations"
    assert engine.progress().evaluations == 80


@pytest.mark.parametrize(("rules", "target"), [(1, -5.0), (CURRENT, 5.0)])
def test_a_target_of_a_minimised_metric_is_in_its_own_unit(store, rules, target):
    """By the rules of older runs it is a score, as it was when they were started."""
    cost = Objective((), ("cost",))

    def far(program):
        return {"cost": abs(float(program.files["n.txt"]) - 200) / 7}

    engine = engine_on(
        store,
        executor=Telling(far, cost),
        objective=cost,
        budget=Budget(target=target, evaluations=2000),
        rules=rules,
    )
    assert asyncio.run(session(engine)) == "target"
    shown = engine.progress()
    assert shown.value_name == "cost"
    assert shown.target == 5.0
    assert shown.best_value == -shown.best_score <= 5.0


# --- older runs ----------------------------------------------------------------------------------


def test_a_run_of_older_rules_measures_its_front_once_and_keeps_its_values(store):
    executor = Noisy(measure, OBJECTIVE)
    engine = engine_on(store, executor=executor, evaluations=20, rules=1)
    asyncio.run(session(engine))
    (only,) = store.confirmations()
    assert (only.round, only.seen, only.begun) == (0, 20, 20)
    assert executor.measured == [engine.population.front[0].program.id]
    assert executor.asked[0].seed == Random(f"0/{only.program}/confirm/").getrandbits(63)
    assert engine.population.score == engine.population.search_score
    # Asked for by `apply`, it gets a round all the same, and that counts.
    asyncio.run(engine.measure_again(only.program))
    (round_,) = store.rounds()
    assert round_.programs == (only.program, 0)
    assert engine.population.score != engine.population.search_score or established(engine)
