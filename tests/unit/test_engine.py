"""The loop: exact budgets, resume from the facts alone, order that can be repeated."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest
from effort import LATE
from number_runs import (
    OBJECTIVE,
    SEED,
    Ask,
    Same,
    Step,
    engine_on,
    history,
    kill_after,
    measure,
)

from evolver.errors import CandidateCrashed, ModelError, UsageError
from evolver.evaluation.executors.inline import InlineExecutor
from evolver.operators.mix import Weighted
from evolver.routing.budget import Budget
from evolver.storage.facts import Attempt, Outcome, Request
from evolver.storage.reader import Reader
from evolver.storage.store import Store
from evolver.types import Completion, Evaluation, Program, Prompt


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path, {}, "test")
    yield store
    store.close()


def test_as_many_evaluations_as_asked(store):
    engine = engine_on(store, evaluations=60, delay=0.002)
    assert asyncio.run(engine.run()) == "evaluations"
    outcomes = list(store.outcomes())
    assert sum(o.evaluation is not None for o in outcomes) == 60
    assert engine.progress().evaluations == 60
    assert engine.population.score == max(
        e.objectives[0] for e in engine.population.elites.values()
    )
    assert engine.population.score > 200


def test_every_attempt_has_a_row_and_an_outcome_and_saw_only_the_past(store):
    asyncio.run(engine_on(store, delay=0.002).run())
    assert store.attempts(unfinished=True) == []
    finished = []
    for outcome in store.outcomes():
        attempt = outcome.attempt
        if attempt.parent is not None:
            assert attempt.parent in finished
            assert attempt.seen <= len(finished)
        finished.append(attempt.id)


@pytest.mark.parametrize("stop_at", [1, 2, 17, 40])
def test_a_killed_run_goes_on_from_its_rows_to_exactly_its_budget(tmp_path, stop_at):
    class KillError(Exception):
        pass

    def listener(progress):
        if progress.evaluations >= stop_at:
            raise KillError

    store = Store.create(tmp_path, {}, "test")
    with pytest.raises(KillError):
        asyncio.run(engine_on(store, delay=0.002, listener=listener).run())
    store.close()
    store = Store.resume(tmp_path, "test")
    before = history(store)
    engine = engine_on(store, delay=0.002)
    asyncio.run(engine.run())
    after = history(store)
    assert after[: len(before)] == before
    assert engine.progress().evaluations == 60
    ids = [attempt.id for attempt, *_ in after]
    assert len(ids) == len(set(ids))
    assert store.attempts(unfinished=True) == []
    store.close()


def deterministic_run(folder, *, slots, kill_at=None):
    folder.mkdir()
    store = Store.create(folder, {}, "test")

    def listener(progress):
        if kill_at is not None and progress.evaluations >= kill_at:
            raise InterruptedError

    common = {"slots": slots, "delay": 0.003, "deterministic": True, "in_flight": 4, "seed": 5}
    try:
        asyncio.run(engine_on(store, listener=listener, **common).run())
    except InterruptedError:
        store.close()
        store = Store.resume(folder, "test")
        asyncio.run(engine_on(store, **common).run())
    result = history(store)
    store.close()
    return result


def test_deterministic_runs_agree_on_one_slot_and_on_four_and_after_a_kill(tmp_path):
    one = deterministic_run(tmp_path / "one", slots=1)
    assert one == deterministic_run(tmp_path / "four", slots=4)
    assert one == deterministic_run(tmp_path / "killed", slots=3, kill_at=23)
    assert [attempt.id for attempt, *_ in one] == list(range(len(one)))


def test_a_finished_run_can_be_given_more(tmp_path):
    store = Store.create(tmp_path, {}, "test")
    asyncio.run(engine_on(store, evaluations=10).run())
    store.close()
    store = Store.resume(tmp_path, "test")
    engine = engine_on(store, evaluations=25)
    asyncio.run(engine.run())
    assert engine.progress().evaluations == 25
    store.close()


def test_the_target_stops_the_run(store):
    engine = engine_on(store, budget=Budget(target=300.0))
    assert asyncio.run(engine.run()) == "target"
    assert engine.population.score >= 300


def test_seconds_stop_the_run_and_cancel_what_is_in_flight(store):
    engine = engine_on(store, budget=Budget(seconds=0.2), delay=0.05)
    assert asyncio.run(engine.run()) == "seconds"
    assert engine.seconds < LATE


def test_no_new_programs_is_exhausted(store):
    engine = engine_on(store, operators=[Weighted("same", Same(), 1.0)])
    assert asyncio.run(engine.run()) == "exhausted"
    assert {o.verdict for o in store.outcomes()} == {"evaluated", "filtered"}


def test_a_seed_that_fails_stops_the_run_with_its_feedback(store):
    def crash(program):
        raise CandidateCrashed("Traceback: no such thing")

    with pytest.raises(UsageError, match=r"seed program fails(.|\n)*no such thing"):
        asyncio.run(engine_on(store, measure=crash).run())


def test_more_seeds_settle_their_islands(store):
    seeds = [SEED, {"n.txt": b"1000"}, {"n.txt": b"2000"}]
    engine = engine_on(store, seeds=seeds, evaluations=3)
    asyncio.run(engine.run())
    best = [island.archive.elites()[0].objectives[0] for island in engine.population.islands]
    assert best == [1.0, 1000.0, 2000.0]


class CountingModel:
    """Answers numbers and counts what it is asked."""

    def __init__(self):
        self.asked = 0

    async def complete(self, prompt, n=1):
        self.asked += 1
        text = "prose" if self.asked % 3 == 0 else str(self.asked)
        return [Completion(text, prompt_tokens=10, completion_tokens=5, dollars=0.5)] * n


def test_stored_completions_are_not_bought_again(tmp_path):
    class KillError(Exception):
        pass

    class Dying(InlineExecutor):
        async def evaluate(self, job):
            if job.program.id == 8:
                raise KillError
            return await super().evaluate(job)

    model = CountingModel()
    operators = [Weighted("ask", Ask(), 1.0, needs_model=True)]
    store = Store.create(tmp_path, {}, "test")
    dying = Dying(measure, OBJECTIVE)
    engine = engine_on(store, operators=operators, model=model, in_flight=1, executor=dying)
    with pytest.raises(KillError):
        asyncio.run(engine.run())
    store.close()
    asked = model.asked
    store = Store.resume(tmp_path, "test")
    engine = engine_on(store, operators=operators, model=model, in_flight=1, evaluations=8)
    asyncio.run(engine.run())
    numbers = [o.attempt.id for o in store.outcomes() if o.verdict != "unproposed"]
    assert 8 in numbers
    stored = sum(len(store.completions(a.id)) for a in store.attempts())
    assert stored == model.asked > asked
    assert store.bill().dollars == pytest.approx(0.5 * model.asked)
    store.close()


def test_the_dollar_cap_stops_the_run(store):
    engine = engine_on(
        store,
        operators=[Weighted("ask", Ask(), 1.0, needs_model=True)],
        model=CountingModel(),
        budget=Budget(dollars=5.0),
    )
    assert asyncio.run(engine.run()) == "dollars"
    assert 5.0 <= store.bill().dollars <= 5.0 + 4 * 0.5


def test_a_model_whose_answers_are_of_no_use_is_not_paid_for_ever(store):
    class Rambling:
        async def complete(self, prompt, n=1):
            return (Completion("prose"),)

    operators = [Weighted("step", Step(), 1.0), Weighted("ask", Ask(), 1.0, needs_model=True)]
    engine = engine_on(store, operators=operators, model=Rambling(), evaluations=5000)
    assert asyncio.run(engine.run()) == "useless"
    assert 20 <= store.bill().calls <= 20 + 16


def test_a_model_that_never_answers_ends_the_run_and_burns_nothing(store):
    class Deaf:
        async def complete(self, prompt, n=1):
            raise ModelError("no answer from nowhere")

    engine = engine_on(
        store, operators=[Weighted("ask", Ask(), 1.0, needs_model=True)], model=Deaf()
    )
    with pytest.raises(ModelError, match="nowhere"):
        asyncio.run(engine.run())
    assert engine.progress().evaluations == 1


@pytest.mark.parametrize("sessions", [(201,), (40, 90, 201)])
def test_operators_share_the_evaluations_not_the_attempts(tmp_path, sessions):
    operators = [Weighted("step", Step(), 3.0), Weighted("ask", Ask(), 1.0, needs_model=True)]
    model = CountingModel()
    Store.create(tmp_path, {}, "test").close()
    for evaluations in sessions:
        store = Store.resume(tmp_path, "test")
        asyncio.run(
            engine_on(store, operators=operators, model=model, evaluations=evaluations).run()
        )
        store.close()
    store = Reader.open(tmp_path)
    made = [o.attempt.operator for o in store.outcomes()]
    judged = [o.attempt.operator for o in store.outcomes() if o.evaluation is not None]
    store.close()
    # Every answer was paid for and counts, prose too; a free child counts when it is judged.
    assert made.count("ask") / judged.count("step") == pytest.approx(0.7 / 0.3, rel=0.1)


def test_an_operator_without_ideas_does_not_hold_up_the_others(store):
    operators = [Weighted("step", Step(), 1.0), Weighted("same", Same(), 9.0)]
    asyncio.run(engine_on(store, operators=operators, evaluations=20).run())
    assert len(store.attempts()) < 1000


def test_deterministic_runs_stop_at_the_same_program_whatever_was_ready_beyond_it(tmp_path):
    found = []
    for slots, delay in ((1, 0.0), (4, 0.01), (3, 0.004)):
        folder = tmp_path / str(slots)
        folder.mkdir()
        store = Store.create(folder, {}, "test")
        asyncio.run(
            engine_on(
                store,
                budget=Budget(target=250.0),
                slots=slots,
                delay=delay,
                deterministic=True,
                in_flight=4,
            ).run()
        )
        found.append(history(store))
        store.close()
    assert found[0] == found[1] == found[2]


def test_an_operator_that_raises_ends_the_run_after_a_while_and_not_at_once(store):
    @dataclass(frozen=True)
    class Broken:
        async def propose(self, context):
            raise ZeroDivisionError("oops")

    engine = engine_on(store, operators=[Weighted("broken", Broken(), 1.0)])
    with pytest.raises(UsageError, match=r"operator failed 20 times in a row.*ZeroDivisionError"):
        asyncio.run(engine.run())
    assert sum(o.verdict == "unproposed" for o in store.outcomes()) >= 15


def test_a_mended_evaluator_is_given_another_chance(tmp_path):
    class Failing(InlineExecutor):
        async def evaluate(self, job):
            if job.program.id:
                return Evaluation("crashed", feedback="division by zero", fault="evaluator")
            return await super().evaluate(job)

    store = Store.create(tmp_path, {}, "test")
    with pytest.raises(UsageError, match=r"evaluator failed 20 times(.|\n)*division by zero"):
        asyncio.run(engine_on(store, executor=Failing(measure, OBJECTIVE)).run())
    store.close()
    store = Store.resume(tmp_path, "test")
    engine = engine_on(store)
    assert asyncio.run(engine.run()) == "evaluations"
    store.close()


def test_a_limit_in_dollars_is_not_kept_by_hoping(store):
    class Unpriced(CountingModel):
        async def complete(self, prompt, n=1):
            return [replace(a, dollars=None) for a in await super().complete(prompt, n)]

    engine = engine_on(
        store,
        operators=[Weighted("ask", Ask(), 1.0, needs_model=True)],
        model=Unpriced(),
        budget=Budget(dollars=5.0),
    )
    with pytest.raises(UsageError, match="needs prices"):
        asyncio.run(engine.run())
    assert store.bill().calls <= 5


def test_text_that_is_no_unicode_is_stored_all_the_same(store):
    @dataclass(frozen=True)
    class Odd:
        async def propose(self, context):
            return replace(await Step().propose(context), summary="a lone \udc80 surrogate")

    engine = engine_on(store, operators=[Weighted("odd", Odd(), 1.0)], evaluations=5)
    assert asyncio.run(engine.run()) == "evaluations"
    assert list(store.outcomes())[-1].program.summary == "a lone ? surrogate"


def test_an_attempt_in_flight_keeps_its_reservation(tmp_path):
    store = Store.create(tmp_path, {}, "test")
    engine = engine_on(store, evaluations=60, reserve={"step": 8}, listener=kill_after(3))
    with pytest.raises(InterruptedError):
        asyncio.run(engine.run())
    store.close()
    store = Store.resume(tmp_path, "test")
    waiting = store.attempts(unfinished=True)
    assert waiting
    assert {attempt.reserved for attempt in waiting} == {8}
    engine = engine_on(store, evaluations=60, reserve={"step": 5})
    asyncio.run(engine.run())
    assert engine.progress().evaluations == 60
    store.close()


def test_a_second_writer_is_refused_and_told_who(tmp_path, store):
    with pytest.raises(UsageError, match="being written by process"):
        Store.resume(tmp_path, "test")


def test_a_run_with_gaps_as_recovery_leaves_them_goes_on_in_order(tmp_path):
    store = Store.create(tmp_path, {}, "test")
    for number in (0, 1, 2, 5):
        attempt = Attempt(number, min(number, 3), "step" if number else "seed", 0, None)
        store.begin(attempt)
        program = Program(number, {"n.txt": b"%d" % (number + 1)}, operator=attempt.operator)
        evaluation = Evaluation("ok", {"value": number}, objectives=(float(number),))
        store.finish(Outcome(attempt, "evaluated", "", program, evaluation))
    request = store.send(Request(8, 0, "any", Prompt("", "")))
    store.record(request, [Completion("an answer to a lost attempt")])
    store.close()
    store = Store.resume(tmp_path, "test")
    engine = engine_on(store, evaluations=12, deterministic=True)
    assert asyncio.run(engine.run()) == "evaluations"
    assert [attempt.id for attempt, *_ in history(store)][:6] == [0, 1, 2, 5, 9, 10]
    store.close()
