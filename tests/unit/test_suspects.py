"""Suspects of the gate: noise is no preference, and what games a noisy evaluator is one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from evolver.evaluation.executors.inline import InlineExecutor
from evolver.search import gate
from evolver.tasks.objective import Objective
from evolver.types import Evaluation, Job, Program

GATES = 200
HEIGHT = Objective(maximize=("height",))
BOTH = Objective(("height",), ("cost",), reference={"height": -50, "cost": 50})

Noise = Callable[[Random], float]

# How far a measurement is off.
NOISES: Mapping[str, Noise] = {
    "normal": lambda rng: rng.gauss(0, 1),
    "skewed": lambda rng: rng.expovariate(1),
    "slow once in a while": lambda rng: -(0.01 * rng.random() + 20 * (rng.random() < 0.1)),
    "a coin": lambda rng: float(rng.random() < 0.5),
    "a rate of ten": lambda rng: sum(rng.random() < 0.7 for _ in range(10)) / 10,
}


@dataclass(frozen=True)
class Noisy(InlineExecutor):
    """Each measurement of each metric is off by chance."""

    noise: Noise = NOISES["normal"]
    is_repeatable: bool = True  # by the job's seed and the program
    is_shared: bool = False  # the noise is that of the inputs alone
    chance: Random = field(default_factory=lambda: Random(5))
    jobs: list[Job] = field(default_factory=list)
    seconds: float = 0.0

    async def evaluate(self, job: Job) -> Evaluation:
        self.jobs.append(job)
        found = await super().evaluate(job)
        if found.objectives is None:
            return found
        own = "" if self.is_shared else repr(job.program.files)
        rng = Random(f"{job.seed} {own}") if self.is_repeatable else self.chance
        metrics = {name: value + self.noise(rng) for name, value in found.metrics.items()}
        return replace(
            found,
            metrics=metrics,
            objectives=self.objective.objectives(metrics),
            seconds=self.seconds,
        )


def program_of(name: str, **worth: float) -> gate.BadProgram:
    text = " ".join(f"{metric}={value}" for metric, value in worth.items())
    return gate.BadProgram(name, name, {"s": f"{name} {text}".encode()})


def worth(program: Program) -> dict[str, float]:
    pairs = (word.split("=") for word in program.files["s"].decode().split()[1:])
    return {metric: float(value) for metric, value in pairs}


def held(executor: Noisy, chance: int, seed: gate.BadProgram, *bads: gate.BadProgram) -> bool:
    """Hold the gate once; tell whether the run may start."""

    async def work() -> list[gate.Verdict]:
        program = Program(0, seed.files)
        first = await executor.evaluate(Job(program, chance))
        return await gate.judge_all(executor, program, first, chance, bads, executor.objective)

    return not any(verdict.passes for verdict in asyncio.run(work()))


def refusals(
    executor: Noisy, seed: gate.BadProgram, *bads: gate.BadProgram, gates: int = GATES
) -> int:
    return sum(not held(executor, chance, seed, *bads) for chance in range(gates))


@pytest.mark.parametrize("is_repeatable", [True, False])
@pytest.mark.parametrize("noise", NOISES)
def test_what_computes_the_same_is_seldom_called_better(noise: str, is_repeatable: bool) -> None:
    executor = Noisy(worth, HEIGHT, noise=NOISES[noise], is_repeatable=is_repeatable)
    seed = program_of("seed", height=3)
    bads = [program_of("slow", height=3), program_of("back", height=3), program_of("no", height=0)]
    bads.append(replace(program_of("named", height=3), is_named=True))
    assert refusals(executor, seed, *bads) < 0.05 * GATES


@pytest.mark.parametrize("is_named", [True, False])
def test_with_several_objectives_too(is_named: bool) -> None:
    seed = program_of("seed", height=3, cost=7)
    same = replace(program_of("same", height=3, cost=7), is_named=is_named)
    claim = replace(program_of("claim", height=100, cost=0), is_named=is_named)
    assert refusals(Noisy(worth, BOTH), seed, same) < 0.05 * GATES
    assert refusals(Noisy(worth, BOTH), seed, same, claim, gates=40) == 40


@pytest.mark.parametrize("noise", NOISES)
def test_a_claim_that_is_believed_is_a_hole_under_noise(noise: str) -> None:
    executor = Noisy(worth, HEIGHT, noise=NOISES[noise])
    seed, claim = program_of("seed", height=3), program_of("claim", height=100)
    assert refusals(executor, seed, claim, gates=40) == 40
    assert refusals(replace(executor, is_shared=True), seed, claim, gates=40) == 40
    assert refusals(replace(executor, is_repeatable=False), seed, claim, gates=40) == 40


def test_the_inputs_are_fresh_and_the_same_for_both() -> None:
    executor = Noisy(worth, HEIGHT)
    assert not held(executor, 7, program_of("seed", height=3), program_of("claim", height=100))
    first, again = executor.jobs[:2], executor.jobs[2:]
    assert [job.seed for job in first] == [7, 7]
    assert [job.seed for job in again[::2]] == [job.seed for job in again[1::2]]
    assert len({7, *(job.seed for job in again)}) == 1 + len(again) // 2


@pytest.mark.parametrize(
    ("noise", "height", "seconds", "pairs"),
    [
        (lambda _rng: 0.123456789, 2000, 0.0, 1),  # it repeats itself: one pair decides
        (lambda _rng: 0.0, 100, 0.0, 4),  # a count: it may come out again by chance
        (lambda _rng: 0.123456789, 2, 0.0, 0),  # not above the seed
        (NOISES["normal"], 100, 0.0, 12),
        (NOISES["normal"], 100, 1.25, 8),  # two slots: ten seconds
        (NOISES["normal"], 100, 60.0, 4),
    ],
)
def test_how_many_pairs_depends_on_their_time_alone(
    noise: Noise, height: float, seconds: float, pairs: int
) -> None:
    executor = Noisy(worth, HEIGHT, noise=noise, seconds=seconds)
    bad = program_of("claim", height=height)
    assert held(executor, 7, program_of("seed", height=3), bad) is (pairs == 0)
    assert len(executor.jobs) == 2 + 2 * pairs
