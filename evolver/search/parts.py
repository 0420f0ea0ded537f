"""The parts of a run: one record for the engine and everything that it drives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from evolver.operators.mix import Mix
from evolver.ports import Executor
from evolver.routing.budget import Budget
from evolver.routing.recording import Models
from evolver.search import rules
from evolver.search.gate import Gate
from evolver.search.population import Population
from evolver.search.progress import Progress
from evolver.storage.store import Store
from evolver.types import Brief, Files

SEED_OPERATOR = "seed"  # the operator of the programs that a run starts from


@dataclass(frozen=True)
class EngineSettings:
    """How the loop runs.

    Attributes:
        seed: of all decisions.
        in_flight: attempts begun and not yet committed, at most.
        deterministic: attempts are committed in the order of their numbers, so that attempt n
            sees exactly those up to n - in_flight.
        secret: goes into the evaluations' seeds, so that a candidate that guesses the run's seed
            cannot foresee its secret inputs.
        rules: that decide; see `evolver.search.rules`.
        limit: seconds that an evaluation may take, by those that the seed's took.
        repeats: measurements of what is announced; None: as the evaluator's noise asks for.
        is_strict: whether the evaluator makes them by its `confirm`.
    """

    seed: int = 0
    in_flight: int = 4
    deterministic: bool = False
    secret: str = ""
    rules: int = rules.CURRENT
    limit: Callable[[float], float] | None = None
    repeats: int | None = None
    is_strict: bool = False

    @property
    def follows_clock(self) -> bool:
        """Whether decisions may depend on measured times."""
        return self.rules >= 2 and not self.deterministic

    def rng(self, attempt: int, purpose: str) -> Random:
        """Return the random stream of one of an attempt's decisions."""
        return Random(f"{self.seed}/{attempt}/{purpose}")

    def job_seed(self, attempt: int, purpose: str) -> int:
        """Return the seed of an evaluation, for its secret inputs and its randomness."""
        return self.rng(attempt, f"{purpose}/{self.secret}").getrandbits(63)


@dataclass(frozen=True)
class RunParts:
    """The parts of a run.

    Attributes:
        brief: the task as operators see it.
        base: hash of the unchanging base tree.
        seeds: the programs to start from; the first one must evaluate.
        store: where facts go; the views are rebuilt from those that it holds.
        population: empty.
        mix: the operators.
        executor: judges programs.
        budget: limits of the run.
        settings: how the loop runs.
        models: for the operators that need one.
        gate: judges known-bad programs before the seed is committed; None: no gate.
        reserve: operator -> evaluations that one of its attempts may spend (default 1).
        listener: gets snapshots, on the event loop's thread.
    """

    brief: Brief
    base: str
    seeds: Sequence[Files]
    store: Store
    population: Population
    mix: Mix
    executor: Executor
    budget: Budget
    settings: EngineSettings
    models: Models | None = None
    gate: Gate | None = None
    reserve: Mapping[str, int] = field(default_factory=dict)
    listener: Callable[[Progress], None] | None = None

    @property
    def goal(self) -> float | None:
        """The score that stops the run once it is confirmed; None: there is no target."""
        target = self.budget.target
        if target is None or self.settings.rules < 2:
            return target
        return self.population.objective.value(target)  # the target is in the metric's own unit
