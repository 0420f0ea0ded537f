"""What a run recorded in its directory: the facts, the configuration, the task."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from evolver.errors import UsageError
from evolver.runs import config
from evolver.storage.database import DATABASE, damaged
from evolver.storage.facts import Confirmation, Outcome, Round
from evolver.storage.reader import Reader
from evolver.storage.totals import Bill, PreflightCounts
from evolver.tasks.objective import Objective
from evolver.tasks.task import RUNS, Task, assemble_task
from evolver.types import Evaluation, Program, Prompt

TASK = "task"  # a copy of the task's folder from the start
PROGRAM = "program"  # the program's files, if they lay outside the task's folder
LOG = "run.log"
BEST = "best"  # the best program's files
PICKLE = "evaluator.pkl"  # an evaluator that a Python program gave


def latest_directory() -> Path:
    """Return the directory of the run under runs/ that was written last.

    Raises:
        UsageError: there is no run.
    """
    found = [path.parent for path in Path(RUNS).glob(f"*/{DATABASE}")]
    if not found:
        raise UsageError(f"there is no run under {RUNS}/; name the directory of a run")
    return max(found, key=lambda path: (path / DATABASE).stat().st_mtime)


@dataclass(frozen=True)
class Recorded:
    """What a run recorded so far; the run may still be at work.

    Attributes:
        directory: of the run.
        store: is read instead of the directory's database, if given.
    """

    directory: Path
    store: Reader | None = field(default=None, compare=False, repr=False)

    @classmethod
    def open(cls, directory: Path | str | None = None) -> Self:
        """Open a run; without a directory the latest one under runs/.

        Raises:
            UsageError: there is no run, or its database is damaged.
        """
        run = cls(Path(directory) if directory is not None else latest_directory())
        Reader.open(run.directory).close()
        return run

    def _read(self, question: Callable[[Reader], Any]) -> Any:
        if self.store is not None:
            return question(self.store)
        store = Reader.open(self.directory)
        try:
            return question(store)
        except sqlite3.DatabaseError as error:
            raise damaged(self.directory, error) from error
        finally:
            store.close()

    @cached_property
    def configuration(self) -> config.Configuration:
        """The run's settings."""
        return config.read(self.directory)

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """Name and origin of the task, its repository, the version of evolver."""
        facts: Mapping[str, Any] = self._read(lambda store: store.facts())
        return facts

    @cached_property
    def task(self) -> Task:
        """The task as of the start of the run."""
        settings = self.configuration.task
        return assemble_task(self.facts["task"], self.directory / TASK, settings, is_recorded=True)

    @cached_property
    def objective(self) -> Objective:
        """What is better."""
        return self.task.objective

    @cached_property
    def outcomes(self) -> Sequence[Outcome]:
        """How each attempt ended, in commit order."""
        outcomes: list[Outcome] = self._read(lambda store: list(store.outcomes()))
        return outcomes

    @cached_property
    def confirmations(self) -> Sequence[Confirmation]:
        """Repeated measurements, in the order in which they were made."""
        confirmations: list[Confirmation] = self._read(lambda store: store.confirmations())
        return confirmations

    @cached_property
    def rounds(self) -> Sequence[Round]:
        """The rounds of these measurements."""
        rounds: list[Round] = self._read(lambda store: store.rounds())
        return rounds

    @cached_property
    def preflight_counts(self) -> PreflightCounts:
        """What the pre-flights told."""
        counts: PreflightCounts = self._read(lambda store: store.preflight_counts())
        return counts

    @cached_property
    def bills(self) -> Mapping[str, Bill]:
        """The cost of completions, by the model's name."""
        bills: dict[str, Bill] = self._read(lambda store: store.bills())
        return bills

    @cached_property
    def bill(self) -> Bill:
        """The cost of all completions."""
        return sum(self.bills.values(), Bill())

    @property
    def seconds(self) -> float:
        """Working time of all sessions."""
        seconds: float = self._read(lambda store: store.seconds())
        return seconds

    @property
    def stopped(self) -> str | None:
        """Why the last session ended; None if it was killed or is still at work."""
        reason: str | None = self._read(lambda store: store.last_stop())
        return reason

    @property
    def evaluations(self) -> int:
        """Evaluations spent."""
        return sum(o.evaluation.evaluations for o in self.outcomes if o.evaluation is not None)

    def prompts(self, attempt: int) -> Mapping[int, Prompt]:
        """Return the prompts of an attempt, by the number of the call."""
        prompts: dict[int, Prompt] = self._read(lambda store: store.prompts(attempt))
        return prompts

    def program(self, number: int) -> tuple[Program, Evaluation | None]:
        """Return a program and its evaluation by id.

        Raises:
            UsageError: the run has no such program.
        """
        for outcome in self.outcomes:
            if outcome.program is not None and outcome.program.id == number:
                return outcome.program, outcome.evaluation
        raise UsageError(f"{self.directory} has no program {number}; see 'evolver show'")
