"""A run is a directory: the facts, the configuration, the task as it was, the log, the results."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

from evolver import config
from evolver.database import DATABASE, damaged
from evolver.errors import UsageError
from evolver.facts import Bill, Confirmation, Flights, Outcome
from evolver.failures import Failures, paths_of
from evolver.objective import Objective, dominates, front
from evolver.progress import ModelRecord
from evolver.store import Store
from evolver.tally import Tally
from evolver.task import RUNS, Task, assemble_task
from evolver.types import Elite, Evaluation, Program, Prompt

TASK = "task"  # the task's folder as it was at the start
PROGRAM = "program"  # the program's files, where they lay outside the task's folder
LOG = "run.log"
BEST = "best"  # the best program's files
PICKLE = "evaluator.pkl"  # where a program of Python gave the evaluator


def latest_directory() -> Path:
    """Return the run under runs/ that was written last.

    Raises:
        UsageError: there is none.
    """
    found = [path.parent for path in Path(RUNS).glob(f"*/{DATABASE}")]
    if not found:
        raise UsageError(f"there is no run under {RUNS}/; name the directory of a run")
    return max(found, key=lambda path: (path / DATABASE).stat().st_mtime)


@dataclass(frozen=True)
class Run:
    """The results of a run, read from its facts; also of one that is still going on.

    Attributes:
        directory: of the run.
        store: is read instead, where one is given; else what is there at each question.
    """

    directory: Path
    store: Store | None = field(default=None, compare=False, repr=False)

    @classmethod
    def open(cls, directory: Path | str | None = None) -> Run:
        """Open a run; without a directory the latest one under runs/.

        Raises:
            UsageError: there is no run, or its database is damaged.
        """
        run = cls(Path(directory) if directory is not None else latest_directory())
        Store.read(run.directory).close()
        return run

    def _read(self, question: Callable[[Store], Any]) -> Any:
        if self.store is not None:
            return question(self.store)
        store = Store.read(self.directory)
        try:
            return question(store)
        except sqlite3.DatabaseError as error:
            raise damaged(self.directory, error) from error
        finally:
            store.close()

    @cached_property
    def configuration(self) -> config.Configuration:
        """What the run was started with."""
        return config.read(self.directory)

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """Name and origin of the task, its repository, the version of evolver."""
        facts: Mapping[str, Any] = self._read(lambda store: store.facts())
        return facts

    @cached_property
    def task(self) -> Task:
        """The task as it was when the run began."""
        return assemble_task(self.facts["task"], self.directory / TASK, self.configuration.task)

    @cached_property
    def objective(self) -> Objective:
        """Which metrics count."""
        return self.task.objective

    @cached_property
    def outcomes(self) -> Sequence[Outcome]:
        """How each attempt ended, in commit order."""
        outcomes: list[Outcome] = self._read(lambda store: list(store.outcomes()))
        return outcomes

    @cached_property
    def confirmations(self) -> Mapping[int, Evaluation]:
        """Repeated measurements of programs on the front, by program id."""
        confirmations: list[Confirmation] = self._read(lambda store: store.confirmations())
        return {made.program: made.evaluation for made in confirmations}

    @cached_property
    def flights(self) -> Flights:
        """What the pre-flights told."""
        flights: Flights = self._read(lambda store: store.flights())
        return flights

    @cached_property
    def bill(self) -> Bill:
        """What the completions cost."""
        return reduce(Bill.and_, self.bills.values(), Bill())

    @cached_property
    def bills(self) -> Mapping[str, Bill]:
        """What the completions cost, by the model's name."""
        bills: dict[str, Bill] = self._read(lambda store: store.bills())
        return bills

    @cached_property
    def models(self) -> Mapping[str, ModelRecord]:
        """What came of the attempts that asked a model, by its name."""
        tally, reached = Tally(), list[tuple[float, ...]]()
        score: float | None = None
        for outcome in self.outcomes:
            new = None if outcome.evaluation is None else outcome.evaluation.objectives
            before = score
            if new is not None and not any(old == new or dominates(old, new) for old in reached):
                reached = [old for old in reached if not dominates(new, old)] + [new]
                score = self.objective.score(reached)
            is_higher = score is not None and (before is None or score > before)
            tally.count(outcome, improved=is_higher)
        return tally.models

    @cached_property
    def failures(self) -> Failures:
        """The failed evaluations, by what failed and where."""
        evaluations = [o.evaluation for o in self.outcomes if o.evaluation is not None]
        return Failures.of(evaluations, paths_of(self.task.files, self.task.readonly))

    @cached_property
    def elites(self) -> Mapping[int, Elite]:
        """Every program with status "ok", by id."""
        found = (outcome.elite for outcome in self.outcomes)
        return {elite.program.id: elite for elite in found if elite is not None}

    @cached_property
    def front(self) -> Sequence[Elite]:
        """The programs that no other beats, best first objective first.

        A program whose confirmation failed is not among them.
        """
        failed = {id_ for id_, again in self.confirmations.items() if again.status != "ok"}
        elites = [elite for id_, elite in self.elites.items() if id_ not in failed]
        kept = [elites[i] for i in front([elite.objectives for elite in elites])]
        return sorted(kept, key=lambda e: e.objectives, reverse=True)

    @cached_property
    def deviations(self) -> Mapping[int, float]:
        """How far the confirmations of the front are from what counted, by program id.

        The largest relative difference of an objective: 0 is an exact repetition. Programs that
        were not measured again are not in it.
        """
        found = {}
        for elite in self.front:
            again = self.confirmations.get(elite.program.id)
            if again is not None and again.objectives is not None:
                found[elite.program.id] = max(
                    abs(new - old) / max(abs(new), abs(old), 1e-300)
                    for new, old in zip(again.objectives, elite.objectives, strict=True)
                )
        return found

    @property
    def score(self) -> float | None:
        """The best score; with several objectives the hypervolume of the front."""
        return self.objective.score(elite.objectives for elite in self.front)

    @property
    def best(self) -> Elite | None:
        """The front's best by the first objective; None where nothing is ok."""
        return self.front[0] if self.front else None

    def best_where(self, passes: Callable[[Mapping[str, float]], bool]) -> Elite | None:
        """Return the best by the first objective among all programs whose metrics pass."""
        fitting = [e for e in self.elites.values() if passes(e.evaluation.metrics)]
        return max(fitting, key=lambda e: (e.objectives, -e.program.id), default=None)

    def prompts(self, attempt: int) -> Mapping[int, Prompt]:
        """Return what models were sent for an attempt, by the number of the call."""
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

    def lineage(self, number: int) -> Sequence[Elite]:
        """Return a program and its first parents, the seed first.

        Raises:
            UsageError: the run has no such program with status "ok".
        """
        chain = []
        current: int | None = number
        while current is not None:
            if current not in self.elites:
                raise UsageError(f"{self.directory} has no judged program {current}")
            elite = self.elites[current]
            chain.append(elite)
            current = elite.program.parents[0] if elite.program.parents else None
        return chain[::-1]

    @property
    def limit(self) -> float:
        """Seconds that the evaluation of a child may take; see `EvaluatorSection.limit`."""
        section = self.configuration.task.evaluator
        seeds = [elite for elite in self.elites.values() if elite.program.operator == "seed"]
        if self.configuration.rules < 2 or not seeds:
            return section.timeout
        return max(section.limit(elite.evaluation.seconds) for elite in seeds)

    @property
    def evaluations(self) -> int:
        """Evaluations spent."""
        return sum(o.evaluation.evaluations for o in self.outcomes if o.evaluation is not None)

    @property
    def seconds(self) -> float:
        """Time worked on the run, over all sessions."""
        seconds: float = self._read(lambda store: store.seconds())
        return seconds

    @property
    def stopped(self) -> str | None:
        """Why the last session ended; None where it was killed or is still at work."""
        reason: str | None = self._read(lambda store: store.last_stop())
        return reason

    def summary(self) -> dict[str, Any]:
        """What `--json` prints."""
        best = self.best
        return {
            "best_score": self.score,
            "best_metrics": None if best is None else dict(best.evaluation.metrics),
            "best_program": None if best is None else best.program.id,
            "best_trusted": None if best is None else best.evaluation.trusted,
            "best_confirmed": best is not None and best.program.id in self.deviations,
            "best_deviation": None if best is None else self.deviations.get(best.program.id),
            "evaluations": self.evaluations,
            "attempts": len(self.outcomes),
            "seconds": round(self.seconds, 3),
            "run_dir": str(self.directory),
            "stopped": self.stopped,
        }

    def write_best(self) -> Path | None:
        """Write the best program's files into the run directory; return where."""
        if self.best is None:
            return None
        folder = self.directory / BEST
        for path, content in {**self.task.readonly, **self.best.program.files}.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return folder
