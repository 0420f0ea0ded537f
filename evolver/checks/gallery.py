"""The tasks that ship with evolver, with published records and measured results."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evolver.bundled import bundled
from evolver.errors import UsageError
from evolver.evaluation.evaluator import EvaluatorSource
from evolver.ports import Referenced
from evolver.runs.founding import unmakeable
from evolver.tasks.plugins import nearest
from evolver.tasks.task import TASK_FILE, Task, load_task

MEASURED = "measured.json"


#: The name that stands for a metric if there are several objectives.
HYPERVOLUME = "hypervolume"


@dataclass(frozen=True)
class Measured:
    """The results of one run of an example; `benchmarks/examples.py` writes them.

    Attributes:
        seed: the seed program's metric, or with several objectives its hypervolume.
        best: the same of the best program, or of the front; None where the run found none that is
            better than the seed.
        evaluations: of the run.
        seconds: of the run.
        command: that started the run.
        date: of the run.
        rate: evaluations a second in the first ten seconds of a run on a machine with no other
            work; None: not measured.
        again: means of three more evaluations of the seed and of the best, because the best of many
            noisy results is biased upwards; None: not measured.
        front: with several objectives the metrics of each program of the front, whose files are in
            `best/1`, `best/2`, ...; empty with one, whose program is in `best`, if it found any.
    """

    seed: float
    best: float | None
    evaluations: int
    seconds: float
    command: str
    date: str
    rate: float | None = None
    again: Sequence[float] | None = None
    front: Sequence[Mapping[str, float]] = ()

    def reached(self, digits: int) -> str:
        """Return `best` for people."""
        return "none found" if self.best is None else f"{self.best:.{digits}g}"


@dataclass(frozen=True)
class Example:
    """A task that ships with evolver.

    Attributes:
        task: as loaded.
        title: the first line of its README.
        metric: the objective's name; "hypervolume" where there are several.
        direction: "maximize" or "minimize".
        records: author -> the published value of that metric.
        measured: results of a run; None if there was none.
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
        """The best published value, with its author."""
        sign = 1 if self.direction == "maximize" else -1
        return max(self.records.items(), key=lambda item: sign * item[1], default=None)


def folder_of(name: str) -> Path:
    """Return the folder of a shipped task.

    Raises:
        UsageError: there is no such task; the message names the nearest one.
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
    """Load a shipped task, with its records and results."""
    task = load_task(folder)
    metric, direction = task.objective.directions[0]
    if len(task.objective.directions) > 1:
        metric, direction = HYPERVOLUME, "maximize"
    readme = folder / "README.md"
    first = readme.read_text("utf-8").partition("\n")[0] if readme.is_file() else task.name
    stored = folder / MEASURED
    measured = Measured(**json.loads(stored.read_text("utf-8"))) if stored.is_file() else None
    return Example(task, first.lstrip("# "), metric, direction, _records(task, metric), measured)


def _records(task: Task, metric: str) -> Mapping[str, float]:
    """Return the published values that the evaluator knows; the score of a series of points."""
    section = task.settings.evaluator
    evaluator = EvaluatorSource(section.use, task.root).load(section.with_)
    references = evaluator.references() if isinstance(evaluator, Referenced) else {}
    if metric != HYPERVOLUME:
        return {
            series: point[metric]
            for series, points in references.items()
            for point in points
            if metric in point
        }
    scores = {}
    for series, points in references.items():
        allowed = [
            task.objective.objectives(point)
            for point in points
            if set(task.objective.names) <= set(point) and not task.objective.violations(point)
        ]
        score = task.objective.score(allowed)
        if score is not None:
            scores[series] = score
    return scores


def copy(name: str, target: Path) -> Path:
    """Copy a shipped task, without its results.

    Raises:
        UsageError: there is no such task, or the target exists or cannot be made.
    """
    source = folder_of(name)
    if target.exists():
        raise UsageError(f"{target} exists; name another folder with --out")
    aside = shutil.ignore_patterns("best", MEASURED, "__pycache__")
    with unmakeable(target):
        shutil.copytree(source, target, ignore=aside)
    return target
