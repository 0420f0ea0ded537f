"""Make a task folder of a program and a scoring function, finding out what can be found out."""

from __future__ import annotations

import ast
import json
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evolver import sessions
from evolver.errors import UsageError
from evolver.evaluator import EvaluatorSource, FunctionEvaluator, guest_files, read_result
from evolver.inside import InsideEvaluator, find_inside
from evolver.task import TASK_FILE, TaskSettings, assemble_task, validate
from evolver.types import Candidate, Files, Result

# Words in a metric's name that mean less of it is better.
_SMALLER = {
    "bytes", "cost", "count", "distance", "energy", "error", "latency", "length", "loss", "memory",
    "ms", "operations", "params", "regret", "seconds", "size", "time", "violations",
}  # fmt: skip
_COMBINED = "combined_score"  # what other systems maximise, whatever else there is
_ADAPTER = "evaluate.py"
_INSIDE = (
    "Untrusted: {function} takes a program's path, so it runs inside the sandbox, beside the "
    "candidate, which can write itself any score; to be sure of the scores, let it take a "
    "candidate and call the program's functions by candidate.call(NAME, ...)."
)


@dataclass(frozen=True)
class Probe:
    """An evaluator that tells what a scoring function returns, as metrics with names of our own.

    Attributes:
        use: the function, "file.py:name".
        root: the folder of its file.
    """

    use: str
    root: Path

    @cached_property
    def _evaluator(self) -> FunctionEvaluator | InsideEvaluator:
        evaluator = EvaluatorSource(self.use, self.root).load({})
        assert isinstance(evaluator, FunctionEvaluator | InsideEvaluator)
        return evaluator

    @property
    def guest(self) -> Files:
        """What the function needs beside the candidate."""
        return guest_files(self._evaluator)

    def evaluate(self, candidate: Candidate) -> Result:
        """Call the function; its metrics come back as an artifact, whatever they are called."""
        evaluator = self._evaluator
        returned: object
        if isinstance(evaluator, InsideEvaluator):
            returned = evaluator.evaluate(candidate)
        else:
            returned = evaluator.function(candidate)
        is_number = isinstance(returned, int | float) and not isinstance(returned, bool)
        result = read_result({"score": returned} if is_number else returned)
        told = {"is_number": is_number, "metrics": dict(result.metrics)}
        return Result({"measured": 1.0}, artifacts={"told": json.dumps(told).encode()})


@dataclass(frozen=True)
class Scaffold:
    """A task that was made, and what was found out or assumed, as sentences."""

    folder: Path
    sentences: Sequence[str]


def make_task(
    program: Path, scoring: str, folder: Path, maximize: Sequence[str], minimize: Sequence[str]
) -> Scaffold:
    """Write a task folder with a copy of the program and of the scoring function's file.

    Args:
        program: one file.
        scoring: "FILE.py" or "FILE.py:FUNCTION"; the function takes a candidate and returns its
            metrics, or one number.
        folder: where to; may exist without a task.
        maximize: metrics; with none at all, what the names suggest.
        minimize: metrics.

    Raises:
        UsageError: a file is missing, the function fails on the program, or the direction of its
            metrics has to be given.
    """
    if not program.is_file():
        raise UsageError(f"{program} does not exist; name the file of the program to evolve")
    if any("\ud800" <= sign <= "\udfff" for sign in program.name):
        raise UsageError(f"the name of {program} is not UTF-8, as {TASK_FILE} has to be; rename it")
    if (folder / TASK_FILE).exists():
        raise UsageError(f"{folder} holds a task already; choose another --out")
    file, function = _scoring_function(scoring)
    if file.name == program.name:
        raise UsageError(
            f"the program and the scoring function are both called {file.name}; the candidate "
            "must not hold its own score: put them into two files of different names"
        )
    inside = find_inside(f"{file.name}:{function}", file.parent)
    told, seconds = _measure(program, file, function)
    metrics: dict[str, float] = told["metrics"]
    adapter = _adapter(file, function) if told["is_number"] else None
    up, down, sentences = _directions(metrics, maximize, minimize)
    folder.mkdir(parents=True, exist_ok=True)
    _copy(program, folder / program.name)
    shipped = [file.name] if inside is None else [n for n in inside.files if n != program.name]
    for name in shipped:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _copy(file.parent / name, folder / name)
    use = f"{file.name}:{function}"
    if adapter is not None:
        (folder / _ADAPTER).write_text(adapter, encoding="utf-8")
        use = f"{_ADAPTER}:evaluate"
    content = _toml(program, use, metrics, up, down, timeout=max(10.0, math.ceil(20 * seconds)))
    (folder / TASK_FILE).write_text(content, encoding="utf-8")
    values = ", ".join(f"{name} {value:.6g}" for name, value in metrics.items())
    if inside is not None:
        sentences = [*sentences, _INSIDE.format(function=function)]
    return Scaffold(folder, [f"{folder / TASK_FILE}: the program scores {values}", *sentences])


def _scoring_function(scoring: str) -> tuple[Path, str]:
    """Return the file and the function's name; the only public one where none is given."""
    place, _, name = (scoring, "", "") if Path(scoring).is_file() else scoring.rpartition(":")
    file = Path(place or name)
    name = name if place else ""
    if not file.is_file():
        raise UsageError(f"{file} does not exist; name the file of the scoring function")
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError as error:
        raise UsageError(f"{file}:{error.lineno}: {error.msg}; mend it first") from error
    found = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
    ]
    if name:
        if name not in found:
            raise UsageError(f"{file} defines no function '{name}'; it has {', '.join(found)}")
        return file, name
    usual = [name for name in ("evaluate", "score") if name in found]
    if len(found) == 1 or usual:
        return file, (usual or found)[0]
    raise UsageError(
        f"{file} has {len(found)} public functions; name the one that scores, {file}:FUNCTION"
    )


def _measure(program: Path, file: Path, function: str) -> tuple[dict[str, Any], float]:
    """Judge the program once; return what the function told, and the seconds it took."""
    with tempfile.TemporaryDirectory(prefix="evolver-") as scratch:
        shutil.copy(program, scratch)
        content = {
            "task": {"program": [program.name]},
            "evaluator": {
                "use": "evolver.scaffold:Probe",
                "timeout": 300.0,
                "with": {"use": f"{file.name}:{function}", "root": str(file.parent.resolve())},
            },
            "objective": {"maximize": ["measured"]},
        }
        task = assemble_task("probe", Path(scratch), validate(TaskSettings, content, "init"))
        verdict = sessions.judge(task)
    if verdict.fault == "evaluator":
        raise UsageError(
            f"{file}:{function} fails on {program}. It is called with one argument, the candidate, "
            f"as in candidate.call({_example(program)}), and returns a number, or metrics by name."
            f"\n{verdict.feedback}"
        )
    if verdict.status != "ok":
        raise UsageError(f"{program} fails its evaluation ({verdict.status}):\n{verdict.feedback}")
    told: dict[str, Any] = json.loads(verdict.artifacts["told"])
    return told, verdict.seconds


def _example(program: Path) -> str:
    """Write a call of the program's first function, for messages."""
    try:
        body = ast.parse(program.read_bytes()).body
    except (SyntaxError, ValueError):
        body = []
    for node in body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            return ", ".join([repr(node.name), *(argument.arg for argument in node.args.args)])
    return "'FUNCTION', ARGUMENT"


def _adapter(file: Path, function: str) -> str:
    return (
        f'"""Gives the one number of {file.name} a name."""\n\n'
        f"from {file.stem} import {function}\n\n\n"
        f'def evaluate(candidate):\n    return {{"score": {function}(candidate)}}\n'
    )


def _directions(
    metrics: Mapping[str, float], maximize: Sequence[str], minimize: Sequence[str]
) -> tuple[list[str], list[str], list[str]]:
    """Return what to maximise, what to minimise, and what was assumed."""
    for name in (*maximize, *minimize):
        if name not in metrics:
            raise UsageError(
                f"the scoring function returns no '{name}'; it has {', '.join(metrics)}"
            )
    if maximize or minimize:
        return list(maximize), list(minimize), []
    if _COMBINED in metrics:
        return [_COMBINED], [], [f"Assumed: maximize {_COMBINED}."]
    if len(metrics) > 1:
        raise UsageError(
            f"the scoring function returns {', '.join(metrics)}; say which of them count: "
            "--maximize METRIC, --minimize METRIC"
        )
    (name,) = metrics
    is_smaller_better = bool(_SMALLER & set(name.lower().replace("-", "_").split("_")))
    direction = "minimize" if is_smaller_better else "maximize"
    assumed = f"Assumed: {direction} {name}; if that is wrong, change [objective]."
    return ([], [name], [assumed]) if is_smaller_better else ([name], [], [assumed])


def _copy(source: Path, target: Path) -> None:
    if target.exists() and target.read_bytes() != source.read_bytes():
        raise UsageError(
            f"{target} is there already and differs from {source}; choose another --out"
        )
    if not target.exists():
        shutil.copyfile(source, target)


def _toml(
    program: Path,
    use: str,
    metrics: Mapping[str, float],
    up: Sequence[str],
    down: Sequence[str],
    *,
    timeout: float,
) -> str:
    lines = [
        "[task]",
        f"description = {_quoted(_description(program))}  # goes into prompts",
        f"program     = [{_quoted(program.name)}]",
        "",
        "[evaluator]",
        f"use     = {_quoted(use)}",
        f"timeout = {timeout}  # seconds for one evaluation",
        "",
        "[objective]",
    ]
    for key, names in (("maximize", up), ("minimize", down)):
        if names:
            lines.append(f"{key} = [{', '.join(map(_quoted, names))}]")
    if len(up) + len(down) > 1:
        worst = {n: _worse(metrics[n], -1) for n in up} | {n: _worse(metrics[n], 1) for n in down}
        values = ", ".join(f"{_quoted(name)} = {value!r}" for name, value in worst.items())
        lines.append(f"reference = {{ {values} }}  # the worst values that count: adjust them")
    modules = _preloadable(program)
    if modules:
        lines += ["", "[sandbox]", f"preload = [{', '.join(map(_quoted, modules))}]"]
    return "\n".join([*lines, "", "[budget]", "evaluations = 1000", ""])


def _worse(value: float, sign: int) -> float:
    """Return a value that is worse by its own size, in the direction of `sign`."""
    return float(f"{value + sign * (abs(value) or 1.0):.3g}")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _description(program: Path) -> str:
    """Take the program's own words: its docstring's first line, or its first function's."""
    try:
        tree = ast.parse(program.read_bytes())
    except (SyntaxError, ValueError):
        return f"Improve {program.name}."
    for node in (tree, *tree.body):
        if isinstance(node, ast.Module | ast.FunctionDef):
            said = ast.get_docstring(node)
            if said:
                return said.splitlines()[0]
    return f"Improve {program.name}."


def _preloadable(program: Path) -> list[str]:
    """Return the slow libraries that a Python program imports: loaded once, before forking."""
    try:
        tree = ast.parse(program.read_bytes())
    except (SyntaxError, ValueError):
        return []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return [name for name in ("numpy", "scipy") if name in names and find_spec(name)]
