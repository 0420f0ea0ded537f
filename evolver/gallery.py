"""The tasks that evolver ships: what each is, the published record, and what was reached here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evolver.bundled import bundled
from evolver.errors import UsageError
from evolver.evaluator import EvaluatorSource
from evolver.plugins import nearest
from evolver.task import TASK_FILE, Task, load_task

MEASURED = "measured.json"


@dataclass(frozen=True)
class Measured:
    """What one run of an example gave; written by `benchmarks/examples.py`, never by hand.

    Attributes:
        seed: the first objective's metric of the seed program.
        best: the same of the best program.
        evaluations: that the run took.
        seconds: that they took.
        command: the run.
        date: of the run.
    """

    seed: float
    best: float
    evaluations: int
    seconds: float
    command: str
    date: str


@dataclass(frozen=True)
class Example:
    """A task that ships with evolver.

    Attributes:
        task: as loaded.
        title: the first line of its README.
        metric: the first objective's.
        direction: "maximize" or "minimize".
        records: who -> the published value of that metric.
        measured: what a run gave; None where none was made.
    """

    task: Task
    title: str
    metric: str
    direction: str
    records: Mapping[str, float]
    measured: Measured | None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.task.name

    @property
    def record(self) -> tuple[str, float] | None:
        """The best published value, with whose it is."""
        sign = 1 if self.direction == "maximize" else -1
        return max(self.records.items(), key=lambda item: sign * item[1], default=None)


def folder_of(name: str) -> Path:
    """Return the folder of a shipped task.

    Raises:
        UsageError: there is no such task; the nearest name is told.
    """
    folder = bundled("examples") / name
    if not (folder / TASK_FILE).is_file():
        known = [path.parent.name for path in bundled("examples").glob(f"*/{TASK_FILE}")]
        raise UsageError(f"evolver ships no task '{name}'; {nearest(name, known)}")
    return folder


def examples() -> Sequence[Example]:
    """Return all shipped tasks by name."""
    return [load(path.parent) for path in sorted(bundled("examples").glob(f"*/{TASK_FILE}"))]


def load(folder: Path) -> Example:
    """Return a shipped task with what is known of it."""
    task = load_task(folder)
    metric, direction = task.objective.directions[0]
    readme = folder / "README.md"
    first = readme.read_text("utf-8").partition("\n")[0] if readme.is_file() else task.name
    stored = folder / MEASURED
    measured = Measured(**json.loads(stored.read_text("utf-8"))) if stored.is_file() else None
    return Example(task, first.lstrip("# "), metric, direction, _records(task, metric), measured)


def _records(task: Task, metric: str) -> Mapping[str, float]:
    """Ask the evaluator; one objective alone has a record, several have a front."""
    if len(task.objective.directions) > 1:
        return {}
    section = task.settings.evaluator
    evaluator = EvaluatorSource(section.use, task.root).load(section.with_)
    references: Mapping[str, Sequence[Mapping[str, float]]] = getattr(
        evaluator, "references", dict
    )()
    return {
        series: point[metric]
        for series, points in references.items()
        for point in points
        if metric in point
    }


def copy(name: str, target: Path) -> Path:
    """Copy a shipped task, without what was reached with it.

    Raises:
        UsageError: there is no such task, or the target exists.
    """
    source = folder_of(name)
    if target.exists():
        raise UsageError(f"{target} exists; name another folder with --out")
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("best", MEASURED, "__pycache__"))
    return target
