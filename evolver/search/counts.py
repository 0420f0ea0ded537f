"""What came of the attempts of a run, and when there is no hope for more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from evolver.errors import UsageError
from evolver.evaluation.failures import Failures
from evolver.search.progress import ModelRecord, OperatorRecord
from evolver.storage.facts import Outcome

_EXHAUSTED = 1000  # attempts in a row that spend nothing
_USELESS = 20  # requests to models in a row that gave nothing to evaluate: each was paid for
_FAULTS = 20  # in a row, of the evaluator or of an operator


class OutcomeCounts:
    """Counts outcomes, and how often in a row something failed.

    Attributes:
        operators: name -> what came of its attempts.
        models: name -> what came of the attempts that asked it.
        statuses: how evaluations ended, or verdict of attempts without one -> how many.
        failures: of evaluations.
        operator_faults: exceptions of operators in a row.
    """

    def __init__(self, files: Collection[str] = ()) -> None:
        """Begin with nothing; `files` are the paths of the program's files."""
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
            requests: those of its requests to a model that were answered in this session.
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
        """Count an exception of an operator that is not its way of saying that it found nothing."""
        self.operator_faults += 1
        self._last_fault = said

    def forgive(self) -> None:
        """Begin a session with new patience: what was wrong may have been mended."""
        self._idle = self._useless = 0
        self._evaluator_faults = self.operator_faults = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing new has been tried for long."""
        return self._idle >= _EXHAUSTED

    @property
    def is_useless(self) -> bool:
        """Whether what models answer has given nothing to evaluate for long."""
        return self._useless >= _USELESS

    def check(self) -> None:
        """Give up where the same thing fails again and again.

        Raises:
            UsageError: the evaluator or an operator did.
        """
        if self._evaluator_faults >= _FAULTS:
            raise UsageError(
                f"the evaluator failed {_FAULTS} times in a row, the last time: "
                f"{self._last_fault}\nMend it (a run judges with its own copy, in the folder "
                "'task' of its directory), then resume"
            )
        if self.operator_faults >= _FAULTS:
            raise UsageError(
                f"an operator failed {_FAULTS} times in a row, the last time: {self._last_fault}"
            )
