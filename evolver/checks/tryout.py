"""Try a program with a scoring function, before they become a task."""

from __future__ import annotations

import ast
import contextlib
import glob
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evolver.checks.belongings import (
    Belongings,
    grow_evaluator,
    grow_program,
    of_evaluator,
    of_program,
)
from evolver.checks.probe import METRIC, Told
from evolver.errors import UsageError
from evolver.evaluation.inside import InsideEvaluator, find_inside
from evolver.runs.founding import copy_task
from evolver.runs.judging import judge
from evolver.runs.recorded import TASK
from evolver.runs.repository import project_of
from evolver.search.gate import bad_programs
from evolver.tasks.directions import by_name
from evolver.tasks.settings import TaskSettings, validate
from evolver.tasks.task import Task, assemble_task
from evolver.types import Evaluation, Files

NUMBER = "score"  # the metric of a bare number, if the function's name suggests no direction
_PATIENCE = 300.0  # seconds for an evaluation of the seed
_WORST = ("constant", "no-op")  # bad programs of `evolver.search.gate` to compare numbers with


class Tryout:
    """A program and a scoring function, and what evaluations of the seed showed.

    Attributes:
        program: the file, as the user named it.
        function: the scoring function's name.
        is_in_place: whether the program stays in its folder.
        inside: the evaluator, if it runs beside the candidate.
        seed: the program's files.
        judge: the evaluator's files.
        metrics: the seed's, after `trace`.
        is_number: whether the function returned a bare number.
        seconds: of an evaluation of the seed.
    """

    def __init__(self, program: Path, file: Path, function: str, *, in_place: bool | None) -> None:
        self.program, self.function = program, function
        self._file = file
        self.inside: InsideEvaluator | None = find_inside(f"{file.name}:{function}", file.parent)
        has_repository = project_of(program.resolve().parent) is not None
        self.is_in_place = has_repository if in_place is None else in_place
        self.seed = of_program(program, judge=file, in_place=self.is_in_place)
        self.judge: Belongings = of_evaluator(file)
        self.metrics: Mapping[str, float] = {}
        self.is_number = False
        self.seconds = 0.0

    def trace(self) -> None:
        """Judge the seed until it has all files that it asks for.

        Raises:
            UsageError: the evaluation fails.
        """
        while True:
            verdict, told = self._probed()
            if not grow_program(self.seed, told, self._file):
                break
        self._refuse(verdict)
        if self.inside is None:
            grow_evaluator(self.judge, told)
        self.is_number = "" in told.metrics
        name = self.function if by_name(self.function) else NUMBER
        self.metrics = {metric or name: value for metric, value in told.metrics.items()}
        self.seconds = verdict.seconds

    def worst(self) -> Iterator[tuple[str, float]]:
        """Yield what bad programs do, with the metric of each, if it has one metric."""
        with tempfile.TemporaryDirectory(prefix="evolver-") as scratch:
            task = self._probe_task(Path(scratch))
            bad = {program.name: program for program in bad_programs(task)}
        for name in _WORST:
            if name in bad:
                verdict, told = self._probed(bad[name].files)
                if verdict.status == "ok" and len(told.metrics) == 1:
                    (value,) = told.metrics.values()
                    yield bad[name].about.removeprefix("every function "), value

    def measured(self, staged: Path, settings: TaskSettings, run: Path) -> Mapping[str, float]:
        """Judge a task as a run of it would, from another folder; return its metrics.

        Args:
            staged: the task's folder.
            settings: of its task.toml.
            run: a folder to make.

        Raises:
            UsageError: it fails, because the task lacks a file.
        """
        if self.is_in_place:
            section = settings.task.model_copy(update={"root": str(self.seed.base)})
            settings = settings.model_copy(update={"task": section})
        task = assemble_task(staged.name, staged, settings)
        run.mkdir()
        kept = assemble_task(task.name, run / TASK, copy_task(task, run))
        try:
            with contextlib.chdir(run):
                verdict = judge(kept)
        except UsageError as error:  # the evaluator cannot even be imported
            raise UsageError(f"{self._incomplete()}\n{error}") from error
        if verdict.status != "ok":
            raise UsageError(f"{self._incomplete()}\n{verdict.explanation}")
        return verdict.metrics

    def _incomplete(self) -> str:
        return (
            f"{self.program} can be judged here, but not as a task, so the task lacks a file that "
            f"{self._file} or {self.program} needs. Let them find it relative to their own "
            "files, as by Path(__file__).parent, and not in a hidden folder."
        )

    def _probed(self, files: Files | None = None) -> tuple[Evaluation, Told]:
        with tempfile.TemporaryDirectory(prefix="evolver-") as scratch:
            verdict = judge(self._probe_task(Path(scratch)), files)
            return verdict, Told.read(Path(scratch, "told.json"))

    def _probe_task(self, scratch: Path) -> Task:
        """Make a task in a folder that has the seed judged by a probe."""
        layout = scratch / "layout"
        names = self.seed.names
        for name, path in names.items():
            target = layout / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
        spelt = [glob.escape(name) for name in names]
        probe = {
            "use": f"{self._file.name}:{self.function}",
            "root": str(self._file.parent.resolve()),
            "told": str(scratch / "told.json"),
        }
        content: dict[str, Any] = {
            "task": {"root": str(layout), "program": spelt, "edit": spelt[:1]},
            "evaluator": {"use": "evolver.checks.probe:Probe", "timeout": _PATIENCE, "with": probe},
            "objective": {"maximize": [METRIC]},
        }
        # In the current folder, because the user would call the function there.
        return assemble_task("probe", Path.cwd(), validate(TaskSettings, content, "init"))

    def _refuse(self, verdict: Evaluation) -> None:
        """Refuse a seed that could not be measured.

        Raises:
            UsageError: it could not be measured.
        """
        if verdict.fault == "evaluator":
            raise UsageError(
                f"{self._file}:{self.function} fails on {self.program}. It is called with one "
                f"argument, the candidate, as in candidate.call({_example(self.program)}), and "
                f"returns a number, or metrics by name.\n{verdict.explanation}"
            )
        if verdict.status != "ok":
            raise UsageError(
                f"{self.program} fails its evaluation ({verdict.status}):\n{verdict.explanation}"
            )


def _example(program: Path) -> str:
    """Return an example call of the program's first function, for messages."""
    try:
        body: Sequence[ast.stmt] = ast.parse(program.read_bytes()).body
    except (SyntaxError, ValueError):
        body = []
    for node in body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            return ", ".join([repr(node.name), *(argument.arg for argument in node.args.args)])
    return "'FUNCTION', ARGUMENT"
