"""Replay: whatever befell a run, its record gives the same decisions, programs and order again."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

import pytest

from evolver.errors import CandidateCrashed, ModelError, ProposalError
from evolver.evaluation.executors.inline import InlineExecutor
from evolver.models.scripted import ScriptedModel
from evolver.operators.mix import Mix, Weighted
from evolver.ports import Executor
from evolver.routing.budget import Budget
from evolver.routing.choice import Bandit
from evolver.routing.endpoint import Endpoint, Terms
from evolver.routing.recording import Models
from evolver.search.archives import BestN
from evolver.search.engine import Engine
from evolver.search.parts import EngineSettings, RunParts
from evolver.search.playback import Playback, watched
from evolver.search.population import Island, Population
from evolver.search.record import Record, left_behind
from evolver.search.replay import Replay, walk_again
from evolver.search.rules import CURRENT
from evolver.search.selection import Tournament
from evolver.search.steps import Steps
from evolver.storage.copies import recorded_answers, write_fork
from evolver.storage.database import DATABASE
from evolver.storage.facts import Session
from evolver.storage.reader import Reader
from evolver.storage.store import Store
from evolver.tasks.objective import Objective
from evolver.types import Brief, Context, Evaluation, Job, Program, Prompt, Proposal

pytestmark = pytest.mark.slow

_RUNS = 12
SEED = {"n.txt": b"1"}
OBJECTIVE = Objective(("value",))


@dataclass(frozen=True)
class Step:
    """Adds a random number to the parent's."""

    async def propose(self, context: Context) -> Proposal:
        value = int(context.parent.program.files["n.txt"]) + context.rng.randrange(-50, 100)
        if value % 13 == 0:
            raise ProposalError("unlucky")
        return Proposal({"n.txt": str(value).encode()})


@dataclass(frozen=True)
class Ask:
    """Does what the model says, after a second question where the first was not understood."""

    question: str = "what follows?"

    async def propose(self, context: Context) -> Proposal:
        prompt = Prompt(self.question, f"{context.parent.program.id} {context.rng.random()}")
        return await self._answer(context, prompt)

    async def repair(self, context: Context, proposal: Proposal, complaint: str) -> Proposal:
        return await self._answer(context, Prompt(self.question, complaint))

    async def _answer(self, context: Context, prompt: Prompt) -> Proposal:
        assert context.model is not None
        (answer,) = await context.model.complete(prompt)
        if not answer.text.isdigit():
            (answer,) = await context.model.complete(replace(prompt, user=f"{prompt.user}?"))
        if not answer.text.isdigit():
            raise ProposalError(f"prose: {answer.text}")
        return Proposal({"n.txt": answer.text.encode()}, thought=f"because of {prompt.user}")


class Judge(InlineExecutor):
    """Confirms little of what it says first, and of some programs nothing."""

    async def evaluate(self, job: Job) -> Evaluation:
        evaluation = await super().evaluate(job)
        if not job.is_confirmation or evaluation.objectives is None:
            return evaluation
        value = evaluation.objectives[0]
        if 150 < value < 250:
            return Evaluation("crashed", feedback="not again", fault="candidate")
        noisy = value / 2 + Random(job.seed).gauss(0, 3) + Random(value).gauss(0, 30)
        return replace(evaluation, metrics={"value": noisy}, objectives=(noisy,))


def measure(program: Program) -> dict[str, float]:
    value = int(program.files["n.txt"])
    if value % 7 == 0:
        raise CandidateCrashed("a multiple of seven")
    return {"value": float(value)}


def probe(program: Program) -> str:
    value = int(program.files["n.txt"])
    if value % 5 == 0:
        raise CandidateCrashed(f"{value} is a multiple of five")
    return str(value // 3)


def answer(chance: Random) -> Any:
    """Return a function that answers like a model: numbers, prose, and nothing at all."""

    def say(_prompt: Prompt) -> Any:
        draw = chance.random()
        if draw < 0.07:
            return ModelError("no such thing")
        return "I would rather not" if draw < 0.3 else str(chance.randrange(400))

    return say


def parts_on(
    store: Store,
    settings: dict[str, Any],
    executor: Executor,
    *,
    models: Any = None,
    budget: Budget = Budget(),  # noqa: B008 - frozen
    question: str = "what follows?",
    **rest: Any,
) -> RunParts:
    operators = [Weighted("step", Step(), 1.0)]
    endpoints = []
    if settings["asks"]:
        operators.append(Weighted("ask", Ask(question), 1.0, needs_model=True))
        terms = (Terms(samples=3), Terms())
        endpoints = [Endpoint(f"m{k}", models, one) for k, one in enumerate(terms)]
    if isinstance(executor, Playback):
        operators = watched(operators, executor)
    return RunParts(
        brief=Brief("", SEED),
        base="",
        seeds=[SEED, {"n.txt": b"2"}],
        store=store,
        population=Population(
            OBJECTIVE,
            lambda: Island(BestN(20), Tournament()),
            islands=settings["islands"],
            migration_interval=7,
        ),
        mix=Mix(operators),
        executor=executor,
        budget=budget,
        settings=EngineSettings(
            settings["seed"],
            6,
            settings["deterministic"],
            rules=settings.get("rules", CURRENT),
            is_strict=True,
        ),
        models=Models(endpoints, Bandit({"m0": 1.0, "m1": 1.0}), store, budget)
        if endpoints
        else None,
        **rest,
    )


class KillError(Exception):
    """What happens to some sessions."""


async def live(engine: Engine, ending: str, chance: Random) -> None:
    """Work for one session, to one of its ends."""
    if ending == "interrupted":
        asyncio.get_running_loop().call_later(chance.uniform(0, 0.03), engine.stop, "interrupted")
    while True:
        if engine.is_confirming:
            await engine.confirm()
        reason = await engine.run()
        if reason == "interrupted":
            return
        await engine.confirm()
        if reason != "target" or engine.reaches_target:
            return
        engine.reopen()


def record_a_run(directory: Path, seed: int) -> None:
    """Let a run have sessions of all kinds, each with settings and an end of its own."""
    chance = Random(seed)
    judge = Judge(measure, OBJECTIVE, 3, delay=0.004, probe=probe)
    deterministic = chance.random() < 0.3
    rules = 1 if seed % 4 == 3 else CURRENT
    spent = 0
    for number in range(chance.randrange(1, 5)):
        settings = {
            "islands": 3,
            "asks": chance.random() < 0.7,
            "seed": 0,
            "deterministic": deterministic,
            "rules": rules,
        }
        told = json.dumps(settings)
        store = (
            Store.resume(directory, "test", told)
            if number
            else Store.create(directory, {}, "test", told)
        )
        spent += chance.randrange(8, 40)
        ending = chance.choice(["budget", "killed", "cut short", "interrupted", "target"])
        limit = spent - chance.randrange(8)

        def listener(progress: Any, ending: str = ending, limit: int = limit) -> None:
            if ending == "killed" and progress.evaluations >= limit:
                raise KillError
            if ending == "cut short" and progress.confirming.startswith("7 of "):
                raise KillError

        with closing(store):
            engine = Engine(
                parts_on(
                    store,
                    settings,
                    judge,
                    models=ScriptedModel(answer(chance), latency=0.001),
                    budget=Budget(evaluations=spent, target=160.0 if ending == "target" else None),
                    listener=listener,
                )
            )
            try:
                asyncio.run(live(engine, ending, chance))
            except (KillError, ModelError):
                continue


def replayed(directory: Path, question: str = "what follows?") -> Replay:
    playback = Playback()
    with (
        closing(recorded_answers(directory)) as database,
        closing(Reader.open(directory)) as recorded,
    ):

        def steps_of(session: Session) -> Steps:
            store = Store(database, session.id)
            settings = json.loads(session.settings)
            return Steps(parts_on(store, settings, playback, models=playback, question=question))

        return asyncio.run(walk_again(Record(recorded), playback, steps_of))


def score_of(directory: Path) -> float | None:
    """What a run is worth, by its facts alone."""
    with closing(Reader.open(directory)) as store:
        rows = store.confirmations()
        failed = {m.program for m in rows if m.evaluation.status != "ok"}
        values: dict[int, list[float]] = {}
        closed = {one.number for one in store.rounds() if one.is_closed}
        for row in rows:
            if row.round in closed and row.program not in failed:
                assert row.evaluation.objectives is not None
                values.setdefault(row.program, []).append(row.evaluation.objectives[0])
        if values:
            return max(map(mean, values.values()))
        return OBJECTIVE.score(
            o.evaluation.objectives
            for o in store.outcomes()
            if o.evaluation and o.evaluation.objectives and o.attempt.id not in failed
        )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Runs to which all sorts of things have happened."""
    folders = [tmp_path_factory.mktemp("run") for _ in range(_RUNS)]
    for seed, folder in enumerate(folders):
        record_a_run(folder, seed)
    return folders


@pytest.mark.parametrize("number", range(_RUNS))
def test_whatever_befell_a_run_it_comes_out_the_same(runs: list[Path], number: int) -> None:
    found = replayed(runs[number])
    assert found.differences == ()
    assert found.prompts == ()
    assert found.attempts == finished_of(runs[number])
    assert found.score == pytest.approx(score_of(runs[number]))


def test_the_runs_of_these_tests_have_seen_everything(runs: list[Path]) -> None:
    seen = set()
    for folder in runs:
        with closing(Reader.open(folder)) as store:
            outcomes = list(store.outcomes())
            seen |= {outcome.verdict for outcome in outcomes}
            seen |= {"repaired" for o in outcomes if 1 in store.preflights(o.attempt.id)}
            seen |= {"a twin" for o in outcomes if "computes the same" in o.reason}
            seen |= {"no answer" for o in outcomes if "no such thing" in o.reason}
            seen |= {"shared" for o in outcomes if o.attempt.leader is not None}
            seen |= {m.evaluation.status for m in store.confirmations()}
            seen |= {"several rounds" for one in store.rounds() if one.number > 1}
            seen |= {"by older rules" for m in store.confirmations() if not m.round}
            seen |= {"resumed" for session in store.sessions()[1:] if session.finished}
            seen |= {"left in flight" for _ in store.attempts(unfinished=True)}
        with closing(sqlite3.connect(folder / DATABASE)) as database:
            seen |= {
                "a round of two sessions"
                for planned, closed in database.execute(
                    "SELECT r.session, c.session FROM rounds r JOIN closings c ON round = number"
                )
                if planned < closed
            }
    assert seen == {
        "evaluated", "filtered", "unproposed", "repaired", "a twin", "no answer", "shared",
        "ok", "crashed", "resumed", "left in flight", "several rounds", "by older rules",
        "a round of two sessions",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_a_fork_comes_out_the_same_too(runs: list[Path], tmp_path: Path, seed: int) -> None:
    parent, child = sorted(runs, key=finished_of)[~seed], tmp_path
    with closing(Reader.open(parent)) as store:
        at = Random(seed).randrange(2, finished_of(parent))
        left = left_behind(store, at)
        kept = list(store.outcomes())[:at]
    write_fork(parent, at, child, {"left_behind": [asdict(one) for one in left]})
    settings = {"islands": 2, "asks": True, "seed": 99, "deterministic": False}
    with closing(Store.resume(child, "test", json.dumps(settings))) as store:
        assert list(store.outcomes()) == kept
        assert store.attempts(unfinished=True) == []
        engine = Engine(
            parts_on(
                store,
                settings,
                Judge(measure, OBJECTIVE, 3, delay=0.004, probe=probe),
                models=ScriptedModel(answer(Random(7))),
                budget=Budget(evaluations=engine_spent(kept) + 20),
            )
        )
        with suppress(ModelError):
            asyncio.run(live(engine, "budget", Random(0)))
        assert len(list(store.outcomes())) > at
    assert replayed(child).differences == ()


def finished_of(folder: Path) -> int:
    with closing(Reader.open(folder)) as store:
        return len(list(store.outcomes()))


def asking(runs: list[Path]) -> tuple[Path, list[Any]]:
    """Return a run of today's rules in which models were asked, and what they made."""
    for number, folder in enumerate(runs):
        with closing(Reader.open(folder)) as store:
            by_model = [o for o in store.outcomes() if o.program and o.program.thought]
        if by_model and number % 4 != 3:
            return folder, by_model
    raise AssertionError


def engine_spent(outcomes: list[Any]) -> int:
    return sum(o.evaluation.evaluations for o in outcomes if o.evaluation is not None)


def test_what_was_tampered_with_is_told_and_hides_nothing_else(
    runs: list[Path], tmp_path: Path
) -> None:
    folder, by_model = asking(runs)
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        for outcome in (by_model[0], by_model[-1]):
            database.execute(
                "UPDATE programs SET thought = 'otherwise' WHERE id = ?", (outcome.attempt.id,)
            )
        database.commit()
    found = replayed(tmp_path)
    assert {(one.attempt, one.what) for one in found.differences} == {
        (outcome.attempt.id, "thought") for outcome in (by_model[0], by_model[-1])
    }
    assert "was otherwise, is because of" in str(found.differences[0])


def test_another_template_is_no_difference_of_programs(runs: list[Path]) -> None:
    found = replayed(asking(runs)[0], question="what now?")
    assert found.prompts
    assert found.differences == ()


def test_prompts_of_an_operator_that_was_gone_when_its_attempts_ended_are_no_difference(
    tmp_path: Path,
) -> None:
    judge = Judge(measure, OBJECTIVE, 3, probe=probe)
    told = {"islands": 1, "asks": True, "seed": 0, "deterministic": False}
    with closing(Store.create(tmp_path, {}, "test", json.dumps(told))) as store:
        slow = ScriptedModel(answer(Random(0)), latency=60.0)
        engine = Engine(parts_on(store, told, judge, models=slow, budget=Budget(evaluations=20)))

        async def work() -> None:
            asyncio.get_running_loop().call_later(0.1, engine.stop, "interrupted")
            await engine.run()

        asyncio.run(work())
        cut_off = {attempt.id for attempt in store.attempts(unfinished=True)}
        assert any(store.prompts(number) for number in cut_off)
    told["asks"] = False
    with closing(Store.resume(tmp_path, "test", json.dumps(told))) as store:
        engine = Engine(parts_on(store, told, judge, budget=Budget(evaluations=20)))
        assert asyncio.run(engine.run()) == "evaluations"
        gone = {o.attempt.id for o in store.outcomes() if "no operator 'ask'" in o.reason}
        assert gone == cut_off
    found = replayed(tmp_path)
    assert (found.differences, found.prompts) == ((), ())
