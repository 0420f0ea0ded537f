"""Snapshots of a run, for display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evolver.evaluation.failures import Failures
from evolver.routing.budget import Budget
from evolver.storage.totals import Bill
from evolver.types import Elite


@dataclass(frozen=True)
class OperatorRecord:
    """Outcomes of an operator's attempts."""

    attempts: int = 0
    evaluated: int = 0
    improved: int = 0  # raised the score of the run


@dataclass(frozen=True)
class ModelRecord:
    """Outcomes of the attempts that asked a model."""

    attempts: int = 0
    improved: int = 0  # raised the score of the run


@dataclass(frozen=True)
class Progress:
    """A snapshot of a run."""

    evaluations: int
    budget: Budget
    attempts: int  # finished
    seconds: float
    best_score: float | None  # higher is better; of confirmed programs, once there are any
    best: Elite | None
    front: Sequence[Elite]
    islands: Sequence[tuple[int, float | None]]  # elites, best first metric
    operators: Mapping[str, OperatorRecord]
    statuses: Mapping[str, int]  # how evaluations ended; and "filtered", "unproposed"
    in_flight: int
    bills: Mapping[str, Bill] = field(default_factory=dict)  # cost of each model, by its name
    models: Mapping[str, ModelRecord] = field(default_factory=dict)
    troubles: Sequence[str] = ()  # models that do not answer: which, why, since when
    notes: Sequence[str] = ()  # lessons about models or the target so far, in sentences
    failures: Failures = field(default_factory=Failures)  # of evaluations
    # The score as the only metric, or the hypervolume, in its own unit and direction.
    value_name: str = "score"
    best_value: float | None = None
    search_value: float | None = None  # of the front that includes unconfirmed programs
    target: float | None = None
    is_confirmed: bool = False  # whether the best was measured again
    confirming: str = ""  # how far a round of confirmations is
    message: str = ""  # set if something is worth a line

    @property
    def bill(self) -> Bill:
        """What all models cost together."""
        return sum(self.bills.values(), Bill())
