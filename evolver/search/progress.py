"""Snapshots of a run for whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evolver.evaluation.failures import Failures
from evolver.routing.budget import Budget
from evolver.storage.totals import Bill
from evolver.types import Elite


@dataclass(frozen=True)
class OperatorRecord:
    """What came of an operator's attempts."""

    attempts: int = 0
    evaluated: int = 0
    improved: int = 0  # raised the score of the run


@dataclass(frozen=True)
class ModelRecord:
    """What came of the attempts that asked a model."""

    attempts: int = 0
    improved: int = 0  # raised the score of the run


@dataclass(frozen=True)
class Progress:
    """A snapshot of a run for whoever watches it."""

    evaluations: int
    budget: Budget
    attempts: int  # finished
    seconds: float
    best_score: float | None  # higher is better; of what is confirmed, once anything is
    best: Elite | None
    front: Sequence[Elite]
    islands: Sequence[tuple[int, float | None]]  # elites, best first metric
    operators: Mapping[str, OperatorRecord]
    statuses: Mapping[str, int]  # how evaluations ended; and "filtered", "unproposed"
    in_flight: int
    bills: Mapping[str, Bill] = field(default_factory=dict)  # what each model cost, by its name
    models: Mapping[str, ModelRecord] = field(default_factory=dict)
    troubles: Sequence[str] = ()  # models that do not answer: which, why, since when
    notes: Sequence[str] = ()  # what was found out about models so far, in sentences
    failures: Failures = field(default_factory=Failures)  # of evaluations
    # What the score stands for: the only metric, or the hypervolume; in its own unit and direction.
    value_name: str = "score"
    best_value: float | None = None
    search_value: float | None = None  # of the front in which what is not confirmed counts too
    target: float | None = None
    is_confirmed: bool = False  # whether what is best was measured again
    confirming: str = ""  # how far the measurements are that are made again
    message: str = ""  # set when something happened that is worth a line

    @property
    def bill(self) -> Bill:
        """What all models cost together."""
        return sum(self.bills.values(), Bill())
