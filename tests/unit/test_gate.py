"""The gate: what bad programs are made of a seed, and when one counts as preferred to it."""

from __future__ import annotations

import asyncio
import time
import timeit
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
from number_runs import OBJECTIVE, engine_on, measure

from evolver.errors import CandidateCrashed, UsageError
from evolver.evaluation.executors.inline import InlineExecutor
from evolver.search import gate
from evolver.storage.store import Store
from evolver.tasks.objective import Objective
from evolver.tasks.settings import TaskSettings
from evolver.tasks.task import Task, assemble_task
from evolver.types import Elite, Job, Program

SEED = '''"""A module."""
from __future__ import annotations

import time


def around(x):
    return inner(x)


# EVOLVE-BLOCK-START
def inner(x: float) -> float:  # a comment
    def helper():
        return 2
    return helper() * x


async def later():
    return 3
# EVOLVE-BLOCK-END
'''


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store.create(tmp_path, {}, "test")) as store:
        yield store


def task_of(folder: Path, files: Mapping[str, str], **evaluator: Any) -> Task:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    program = [name for name in files if "/" not in name]
    settings = TaskSettings.model_validate(
        {
            "task": {"program": program},
            "evaluator": {"use": "e.py:e", **evaluator},
            "objective": {"maximize": ["height"]},
        }
    )
    return assemble_task("t", folder, settings)


def made_of(seed: str, folder: Path) -> dict[str, gate.BadProgram]:
    return {bad.name: bad for bad in gate.bad_programs(task_of(folder, {"seed.py": seed}))}


def executed(bad: gate.BadProgram) -> ModuleType:
    module = ModuleType("bad")
    exec(bad.files["seed.py"], module.__dict__)
    return module


# --- the programs ---------------------------------------------------------------------------------


def test_functions_of_the_regions_lose_their_bodies(tmp_path: Path) -> None:
    made = made_of(SEED, tmp_path)
    assert set(made) == {
        "no-op", "constant", "oversized", "crash", "slow clock", "backward clock"
    }  # fmt: skip
    assert executed(made["no-op"]).inner(3) is None
    constant = executed(made["constant"])
    assert constant.inner(3) == 0
    assert constant.around(3) == 0  # itself outside of the region
    assert len(executed(made["oversized"]).inner(3)) == 16 * 2**20 + 1
    with pytest.raises(RuntimeError, match="crashes at its import"):
        executed(made["crash"])


@pytest.mark.parametrize("name", ["slow clock", "backward clock"])
def test_clocks_are_changed_and_the_seed_is_not(name: str, tmp_path: Path) -> None:
    clocks = ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
    real = {each: getattr(time, each) for clock in clocks for each in (clock, clock + "_ns")}
    timer = timeit.default_timer
    bad = made_of(SEED, tmp_path)[name]
    try:
        assert executed(bad).around(3) == 6
        for clock, before in real.items():
            which = (time.CLOCK_MONOTONIC,) if "gettime" in clock else ()
            changed = getattr(time, clock)
            really, started = before(*which), changed(*which)
            while before(*which) - really < 2e-3 * (1e9 if clock.endswith("_ns") else 1):
                pass
            passed, shown = before(*which) - really, changed(*which) - started
            assert type(shown) is type(passed)
            assert shown < passed / 100, clock
            assert (shown < 0) == (name == "backward clock")
    finally:
        for clock, before in real.items():
            setattr(time, clock, before)
        timeit.default_timer = timer


def test_what_changes_nothing_is_no_bad_program(tmp_path: Path) -> None:
    made = made_of("x = 1\n", tmp_path)  # no function to transform
    assert set(made) == {"crash", "slow clock", "backward clock"}


def test_a_program_that_is_too_deep_to_be_written_again(tmp_path: Path) -> None:
    deep = "def f(x):\n    return " + " + ".join(["x"] * 5000) + "\n"
    assert set(made_of(deep, tmp_path)) == {"empty", "crash"}


def test_what_an_author_wrote_is_no_warning_of_ours(tmp_path: Path) -> None:
    assert "no-op" in made_of("def f(x):\n    return '\\d'\n", tmp_path)


def test_another_language_is_emptied(tmp_path: Path) -> None:
    found = gate.bad_programs(task_of(tmp_path, {"main.c": "int main() { return 0; }\n"}))
    assert [bad.name for bad in found] == ["empty", "crash"]
    assert found[0].files == {"main.c": b""}
    assert found[1].files["main.c"]


def test_a_task_names_its_own(tmp_path: Path) -> None:
    files = {"seed.py": SEED, "cheats/one.py": "cheat = 1\n", "cheats/two.py": "cheat = 2\n"}
    task = task_of(tmp_path, files, must_reject="cheats/*.py")
    assert list(task.files) == ["seed.py"]
    named = [bad for bad in gate.bad_programs(task) if bad.is_named]
    assert [(bad.name, bad.files) for bad in named] == [
        ("cheats/one.py", {"seed.py": b"cheat = 1\n"}),
        ("cheats/two.py", {"seed.py": b"cheat = 2\n"}),
    ]


def test_of_several_files_the_name_tells_which_it_is(tmp_path: Path) -> None:
    files = {"a.py": "A = 1\n", "b.py": "B = 1\n", "cheats/b.py": "B = 2\n", "cheats/c.py": ""}
    task = task_of(tmp_path, files, must_reject="cheats/b.py")
    assert gate.bad_programs(task)[0].files == {"a.py": b"A = 1\n", "b.py": b"B = 2\n"}
    with pytest.raises(UsageError, match=r"cheats/c.py could replace each of a.py, b.py"):
        gate.bad_programs(task_of(tmp_path, files, must_reject="cheats/*.py"))


# --- the verdicts ---------------------------------------------------------------------------------

HEIGHT = Objective(maximize=("height",))
BOTH = Objective(("digits",), ("operations",), reference={"digits": 0, "operations": 20})


def judged(
    seed: Mapping[str, float],
    bad: Mapping[str, float] | None,
    *,
    objective: Objective = HEIGHT,
    noise: float = 0.0,
    is_named: bool = False,
) -> tuple[gate.Verdict, str, int]:
    """Judge one bad program; return its verdict, the complaint, and the evaluations made."""
    rng, count = Random(3), 0

    def measure(program: Program) -> dict[str, float]:
        nonlocal count
        count += 1
        metrics = seed if program.files == {"s": b"seed"} else bad
        if metrics is None:
            raise CandidateCrashed("it crashed")
        return {name: value + noise * rng.uniform(-1, 1) for name, value in metrics.items()}

    async def work() -> tuple[gate.Verdict, str]:
        executor = InlineExecutor(measure, objective)
        program = Program(0, {"s": b"seed"})
        first = await executor.evaluate(Job(program, 7))
        bads = [gate.BadProgram("cheat", "it cheats", {"s": b"bad"}, is_named)]
        verdicts = await gate.judge_all(executor, program, first, 7, bads, objective)
        return verdicts[0], gate.complaint(verdicts, first, objective)

    return *asyncio.run(work()), count


def test_one_objective_none_may_score_above_the_seed() -> None:
    assert not judged({"height": 1.0}, {"height": 1.0})[0].passes
    assert not judged({"height": 1.0}, None)[0].passes
    verdict, told, _ = judged({"height": 1.0}, {"height": 1.001})
    assert verdict.passes
    assert "prefers a program that is known to be bad to the seed (height 1)" in told
    assert "cheat (it cheats): height 1.001" in told
    assert "--skip-gate" in told


def test_only_what_looks_better_is_measured_again() -> None:
    assert judged({"height": 1.0}, {"height": 1.0})[2] == 2
    assert judged({"height": 1.0}, {"height": 2.0})[2] == 2 + 8


def test_noise_is_no_preference() -> None:
    assert not any(judged({"height": 1.0}, {"height": 1.01}, noise=0.5)[0].passes for _ in "abc")
    assert judged({"height": 1.0}, {"height": 9.0}, noise=0.5)[0].passes


def test_several_objectives_none_may_dominate_the_seed() -> None:
    seed = {"digits": 2.0, "operations": 4.0}
    for bad, passes in (
        ({"digits": 0.0, "operations": 0.0}, False),  # cheaper and worse
        ({"digits": 2.0, "operations": 4.0}, False),
        ({"digits": 2.0, "operations": 3.0}, True),
        ({"digits": 9.0, "operations": 5.0}, False),
    ):
        assert judged(seed, bad, objective=BOTH)[0].passes is passes


def test_several_objectives_a_named_one_may_not_raise_the_score() -> None:
    seed = {"digits": 2.0, "operations": 4.0}
    for bad, passes in (
        ({"digits": 0.0, "operations": 0.0}, False),  # worth nothing, however cheap
        ({"digits": 2.0, "operations": 4.0}, False),
        ({"digits": 9.0, "operations": 5.0}, True),
    ):
        assert judged(seed, bad, objective=BOTH, is_named=True)[0].passes is passes


def passed(
    heights: Mapping[bytes, float], *, delay: float = 0.0, quiet: float = 3.0
) -> tuple[Mapping[str, Any], list[str]]:
    """Let a seed pass the gate; return the record and what the user was told."""
    kept: list[Mapping[str, Any]] = []
    told: list[str] = []

    async def work() -> None:
        executor = InlineExecutor(
            lambda program: {"height": heights[program.files["s"]]}, HEIGHT, delay=delay
        )
        program = Program(0, {"s": b"seed"})
        seed = Elite(program, await executor.evaluate(Job(program, 1)))
        bads = [gate.BadProgram("cheat", "it cheats", {"s": b"bad"})]
        await gate.Gate(bads, HEIGHT, kept.append, quiet=quiet).check(
            executor, seed, 1, told.append
        )

    asyncio.run(work())
    (record,) = kept
    return record, told


def test_what_takes_long_is_told() -> None:
    _, told = passed({b"seed": 1.0, b"bad": 1.0}, delay=0.5, quiet=0.01)
    assert told == ["before the run starts: judging 1 known-bad programs"]


def test_the_seed_passes_a_gate_that_holds() -> None:
    record, told = passed({b"seed": 1.0, b"bad": 0.5})
    assert told == []
    assert record["programs"][0]["name"] == "cheat"
    assert record["programs"][0]["passes"] is False
    assert gate.summary(record) == "none of 1 bad programs scored above the seed"
    assert "skipped" in gate.summary(gate.SKIPPED)
    with pytest.raises(UsageError, match="prefers"):
        passed({b"seed": 1.0, b"bad": 1.5})


@pytest.mark.parametrize("worth", [b"0", b"3"])
def test_a_run_passes_its_gate_once_and_before_anything_is_committed(
    store: Store, worth: bytes
) -> None:
    finished: list[int] = []  # outcomes that were stored when a bad program was judged

    def measured(program: Program) -> dict[str, float]:
        if program.id < 0:
            finished.append(len(list(store.outcomes())))
        return measure(program)

    kept: list[Mapping[str, Any]] = []
    bads = [gate.BadProgram("cheat", "it cheats", {"n.txt": worth})]
    engine = engine_on(
        store,
        executor=InlineExecutor(measured, OBJECTIVE),
        evaluations=9,
        seeds=[{"n.txt": b"2"}, {"n.txt": b"1"}],
        gate=gate.Gate(bads, OBJECTIVE, kept.append),
    )
    if worth == b"3":
        with pytest.raises(UsageError, match="prefers a program that is known to be bad"):
            asyncio.run(engine.run())
        assert list(store.outcomes()) == kept == []
    else:
        assert asyncio.run(engine.run()) == "evaluations"
        assert len(kept) == 1
        assert engine.progress().evaluations == 9
    assert set(finished) == {0}
