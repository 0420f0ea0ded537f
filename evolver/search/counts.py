"""Counts of a run's outcomes, and limits on failures in a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from evolver.errors import UsageError
from evolver.evaluation.failures import Failures
from evolver.search.progress import ModelRecord, OperatorRecord
from evolver.storage.facts import Outcome

_EXHAUSTED = 1000  # attempts in a row that spend nothing
_USELESS = 20  # paid requests to models in a row that gave no program to evaluate
_FAULTS = 20  # failures in a row, of the evaluator or of an operator


class OutcomeCounts:
    """Counts outcomes, and how often in a row something failed.

    Attributes:
        operators: name -> the outcomes of its attempts.
        models: name -> the outcomes of the attempts that asked it.
        statuses: status of an evaluation, or verdict of an attempt without one -> how many.
        failures: of evaluations.
        operator_faults: exceptions of operators in a row.
    """

    def __init__(self, files: Collection[str] = ()) -> None:
        """Start at zero; `files` are the paths of the program's files."""
        self.operators: dict[str, OperatorRecord] = {}
        self.models: dict[str, ModelRecord] = {}
        self.statuses = Counter[str]()
        self.failures = Failures(files)
        self.operator_faults = 0
        self._evaluator_faults = 0
        self._idle = 0
        self._useless = 0
        self._last_fault = ""

    def add(self, outcome: Outcome, *, improved: bool, requests: int = 0) -> None:
        """Count a finished attempt.

        Args:
            outcome: how it ended.
            improved: whether it raised the score of the run.
            requests: its requests to a model that were answered in this session.
        """
        evaluation = outcome.evaluation
        self._idle = 0 if evaluation is not None and evaluation.evaluations else self._idle + 1
        if evaluation is not None and evaluation.fault == "evaluator":
            self._evaluator_faults += 1
            self._last_fault = evaluation.explanation
        elif evaluation is not None:
            self._evaluator_faults = 0
        ended = outcome.verdict if evaluation is None else self.failures.count(evaluation)
        self.statuses[ended] += 1
        record = self.operators.get(outcome.attempt.operator, OperatorRecord())
        self.operators[outcome.attempt.operator] = OperatorRecord(
            record.attempts + 1,
            record.evaluated + (evaluation is not None),
            record.improved + improved,
        )
        name = outcome.attempt.model
        if name:
            self._useless = 0 if evaluation is not None else self._useless + requests
            asked = self.models.get(name, ModelRecord())
            self.models[name] = ModelRecord(asked.attempts + 1, asked.improved + improved)

    def operator_failed(self, said: str) -> None:
        """Count an exception of an operator other than ProposalError."""
        self.operator_faults += 1
        self._last_fault = said

    def forgive(self) -> None:
        """Reset the failures in a row: a new session may have fixed the cause."""
        self._idle = self._useless = 0
        self._evaluator_faults = self.operator_faults = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether attempts have spent no evaluation for long."""
        return self._idle >= _EXHAUSTED

    @property
    def is_useless(self) -> bool:
        """Whether the models' answers have given no program to evaluate for long."""
        return self._useless >= _USELESS

    def check(self) -> None:
        """Check the failures in a row.

        Raises:
            UsageError: the evaluator or an operator failed too often.
        """
        if self._evaluator_faults >= _FAULTS:
            raise UsageError(
                f"the evaluator failed {_FAULTS} times in a row, the last time: "
                f"{self._last_fault}\nFix it (a run uses its own copy, in the folder 'task' of its "
                "directory), then resume"
            )
        if self.operator_faults >= _FAULTS:
            raise UsageError(
                f"an operator failed {_FAULTS} times in a row, the last time: {self._last_fault}"
            )
