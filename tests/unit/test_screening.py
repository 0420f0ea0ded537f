"""Screening: no evaluation for what is known, does not run, or computes what another does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest
from number_runs import OBJECTIVE, engine_on, measure

from evolver.errors import CandidateCrashed, ModelUnavailable, ProposalError, UsageError
from evolver.evaluation.executors.inline import InlineExecutor
from evolver.models.scripted import ScriptedModel
from evolver.operators.mix import Weighted
from evolver.search.history import History
from evolver.search.screening import Admitted, Rejected, Screening
from evolver.storage.store import Store
from evolver.tasks.objective import Objective
from evolver.types import (
    Brief,
    Context,
    Elite,
    Evaluation,
    Files,
    Job,
    Preflight,
    Program,
    Prompt,
    Proposal,
    Tune,
)

SEED = {"p.py": b"x = 1\n"}


def probe(program: Program) -> str:
    """Import a program; its fingerprint is x."""
    found: dict[str, object] = {}
    try:
        exec(program.files["p.py"], found)
    except Exception as error:
        raise CandidateCrashed(f"{type(error).__name__}: {error}") from error
    return str(found.get("x", ""))


class Bench:
    """A store whose seed has had its pre-flight, and whatever screens against it."""

    def __init__(self, store: Store, look: Callable[[Program], str] = probe) -> None:
        self.store = store
        self.executor = InlineExecutor(lambda _program: {}, Objective(("v",)), probe=look)
        self.preflights: list[Job] = []
        self.history = History()
        self.complaints: list[str] = []
        self.rule: Preflight | None = None
        self.rule = asyncio.run(self.screening(0).welcome(Program(0, SEED)))

    async def evaluate(self, job: Job) -> Evaluation:
        raise AssertionError("screening evaluates nothing")

    async def preflight(self, job: Job) -> Preflight:
        self.preflights.append(job)
        return await self.executor.preflight(job)

    async def close(self) -> None:
        """Nothing to end."""

    slots = 1

    def screening(self, attempt: int, known: int = 9) -> Screening:
        return Screening(
            self,
            self.store,
            attempt,
            7,
            lambda print_: self.history.equivalent(print_, upto=known),
            self.rule,
        )

    def admit(
        self,
        source: str,
        *,
        attempt: int = 1,
        mended: str | Exception | None = None,
        paid: bool = True,
        tune: Tune | None = None,
    ) -> Admitted | str:
        """Screen a child of the seed; `mended` is what the operator makes of it."""
        seed = Elite(Program(0, SEED), Evaluation("ok", objectives=(1.0,)))
        model = ScriptedModel([]) if paid else None
        context = Context(Brief("", SEED), seed, (), Random(0), self.is_seen, model=model)

        async def repair(proposal: Proposal, complaint: str) -> Proposal:
            self.complaints.append(complaint)
            if isinstance(mended, Exception):
                raise mended
            assert mended is not None
            return Proposal({"p.py": mended.encode()})

        proposal = Proposal({"p.py": source.encode()}, tune=tune)
        work = self.screening(attempt).admit(context, proposal, None if mended is None else repair)
        return asyncio.run(work)

    def is_seen(self, files: Files) -> bool:
        return files == SEED


@pytest.fixture
def store(tmp_path):
    store = Store.create(tmp_path, {}, "test")
    yield store
    store.close()


def test_what_runs_is_admitted_with_its_fingerprint(store):
    found = Bench(store).admit("x = 2\n")
    assert found == Admitted(Proposal({"p.py": b"x = 2\n"}), "2")


def test_a_traceback_goes_to_one_repair(store):
    bench = Bench(store)
    found = bench.admit("x = 1 / 0\n", mended="x = 3\n")
    assert isinstance(found, Admitted)
    assert found.proposal.files == {"p.py": b"x = 3\n"}
    assert bench.complaints == ["ZeroDivisionError: division by zero"]


def test_what_does_not_parse_is_mended_too(store):
    bench = Bench(store)
    assert isinstance(bench.admit("x = = 1\n", mended="x = 3\n"), Admitted)
    assert "p.py:1: invalid syntax" in bench.complaints[0]
    assert len(bench.preflights) == 2  # the seed's, and that of what was mended


def test_a_second_complaint_ends_the_attempt(store):
    bench = Bench(store)
    assert bench.admit("x = 1 / 0\n", mended="x = undefined\n") == Rejected(
        "NameError: name 'undefined' is not defined"
    )
    assert len(bench.complaints) == 1


def test_what_cannot_be_mended_says_so(store):
    found = Bench(store).admit("x = 1 / 0\n", mended=ProposalError("the answer is prose"))
    assert found == Rejected("ZeroDivisionError: division by zero", "the answer is prose")
    assert "ZeroDivisionError" in str(Bench(store).admit("x = 1 / 0\n", attempt=2))


def test_what_was_judged_before_is_not_worth_a_repair(store):
    bench = Bench(store)
    assert bench.admit("x = 1\n", mended="x = 3\n") == Rejected(
        "the same program was judged before"
    )
    assert bench.complaints == []


def test_what_computes_the_same_is_found_by_those_who_may_know_of_it(store):
    bench = Bench(store)
    bench.history.add_outputs("4", program=17, finished=5)
    bench.history.add_outputs("4", program=18, finished=6)
    found = bench.admit("x = 2 + 2\n")
    assert found == Rejected("it computes the same as program 17 on the probe inputs")
    assert bench.history.equivalent("4", upto=4) is None


def test_a_child_without_a_bill_is_probed_and_not_imported_for_nothing(store, tmp_path):
    bench = Bench(store)
    assert isinstance(bench.admit("x = 2\n", paid=False), Admitted)
    assert bench.admit("x = 2\n", attempt=2, paid=False, tune=Tune()) == Admitted(
        Proposal({"p.py": b"x = 2\n"}, tune=Tune())
    )
    assert len(bench.preflights) == 2  # the seed's and the first child's


def test_without_a_probe_only_paid_children_have_a_preflight(store):
    bench = Bench(store, lambda program: probe(program)[:0])
    assert isinstance(bench.admit("x = 1 / 0\n", paid=False), Admitted)
    assert "division" in str(bench.admit("x = 1 / 0\n", attempt=2))


def test_what_the_seed_does_not_survive_says_nothing(store):
    def script(program: Program) -> str:
        raise CandidateCrashed("EOFError: it reads its standard input")

    bench = Bench(store, script)
    assert bench.admit("x = 2\n") == Admitted(Proposal({"p.py": b"x = 2\n"}))
    assert len(bench.preflights) == 1


def test_where_the_seed_takes_too_long_no_other_is_tried(store):
    class Slow(Bench):
        async def preflight(self, job: Job) -> Preflight:
            self.preflights.append(job)
            return Preflight(fault="timeout")

    bench = Slow(store)
    assert bench.admit("x = 1 / 0\n") == Admitted(Proposal({"p.py": b"x = 1 / 0\n"}))
    assert len(bench.preflights) == 1
    assert store.preflights(0) == {}  # another host may be faster


def test_a_stored_preflight_is_not_made_again(store):
    bench = Bench(store)
    assert bench.admit("x = 1 / 0\n", mended="x = 3\n") == Bench.admit(
        bench, "x = 1 / 0\n", mended="x = 3\n"
    )
    assert len(bench.preflights) == 3


def test_a_probe_that_fails_on_the_seed_is_the_users_to_mend(store):
    class Faulty(Bench):
        async def preflight(self, job: Job) -> Preflight:
            return Preflight("KeyError: 'points'", fault="evaluator")

    with pytest.raises(UsageError, match="KeyError"):
        Faulty(store)
    assert store.preflights(0) == {}


@dataclass(frozen=True)
class Mend:
    """Asks for a number, and once more where it fails its pre-flight."""

    async def propose(self, context: Context) -> Proposal:
        return await self.repair(context, Proposal({}), "first")

    async def repair(self, context: Context, proposal: Proposal, complaint: str) -> Proposal:
        (answer,) = await context.model.complete(Prompt("", complaint))
        return Proposal({"n.txt": answer.text.encode()})


def test_a_run_killed_in_a_repair_asks_for_nothing_again(tmp_path):
    preflights = []

    def probe(program):
        preflights.append(program.id)
        if program.files["n.txt"] == b"5":
            raise CandidateCrashed("five")
        return ""

    def first(prompt):
        if prompt.user == "first":
            return "5"
        engine.stop("interrupted")  # the repair is under way, and its answer never comes
        raise ModelUnavailable("nobody is there")

    def engine_with(store, answers):
        return engine_on(
            store,
            evaluations=2,
            operators=[Weighted("mend", Mend(), 1.0, needs_model=True)],
            executor=InlineExecutor(measure, OBJECTIVE, probe=probe),
            model=ScriptedModel(answers),
            in_flight=1,
        )

    store = Store.create(tmp_path, {}, "test")
    engine = engine_with(store, first)
    assert asyncio.run(engine.run()) == "interrupted"
    store.close()
    store = Store.resume(tmp_path, "test")
    engine = engine_with(store, ["8"])  # one answer is all that is missing
    assert asyncio.run(engine.run()) == "evaluations"
    assert [outcome.verdict for outcome in store.outcomes()] == ["evaluated", "evaluated"]
    assert preflights == [0, 1, 1]
    store.close()
