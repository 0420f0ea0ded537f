"""Make a task folder from a program and a scoring function; infer the settings."""

from __future__ import annotations

import ast
import contextlib
import math
import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evolver.checks.belongings import LARGEST, written
from evolver.checks.template import commented
from evolver.checks.tryout import NUMBER, Tryout
from evolver.errors import UsageError
from evolver.runs.founding import unmakeable
from evolver.tasks.directions import Direction, by_name, by_numbers
from evolver.tasks.plugins import nearest
from evolver.tasks.settings import EvaluatorSection, TaskSettings, validate
from evolver.tasks.task import TASK_FILE, is_aside

_COMBINED = "combined_score"  # other systems maximise it, whatever other metrics there are
_EVALUATIONS = 1000  # of the budget
_INSIDE = (
    "Untrusted: {function} takes a program's path, so it runs inside the sandbox, beside the "
    "candidate, which can write itself any score; for trusted scores, let it take a candidate "
    "and call the program's functions by candidate.call(NAME, ...)."
)


@dataclass(frozen=True)
class Scaffold:
    """A new task, with findings and assumptions in sentences."""

    folder: Path
    sentences: Sequence[str]


@dataclass(frozen=True)
class Objectives:
    """The metrics to optimise, and why."""

    maximize: Sequence[str]
    minimize: Sequence[str]
    sentences: Sequence[str] = ()


def make_task(
    program: Path,
    scoring: str,
    folder: Path | None,
    maximize: Sequence[str],
    minimize: Sequence[str],
    *,
    in_place: bool | None = None,
) -> Scaffold:
    """Write a task folder for a program, with copies of the scoring function and what it needs.

    Args:
        program: one file.
        scoring: "FILE.py" or "FILE.py:FUNCTION"; the function takes a candidate and returns its
            metrics, or one number.
        folder: the task's folder; may exist without a task. None: named after the program.
        maximize: metrics; without any, names and numbers suggest the direction.
        minimize: metrics.
        in_place: leave the program in its folder instead of copying it; None: if it is in a git
            repository.

    Raises:
        UsageError: a file is missing, the function fails on the program, the direction of its
            metrics is unclear, or the folder cannot be written.
    """
    if not program.exists():
        raise UsageError(f"{program} does not exist; name the file of the program to evolve")
    file, function = _scoring_function(scoring)
    _check_program(program, file)
    place = _folder_of(program, folder)
    with _made(place), tempfile.TemporaryDirectory(prefix="evolver-") as scratch:
        tryout = Tryout(program, file, function, in_place=in_place)
        tryout.trace()
        chosen = _objectives(tryout, maximize, minimize)
        staged = Path(scratch, place.resolve().name)
        _write(tryout, chosen, staged, place)
        _check_free(staged, place)
        content = tomllib.loads((staged / TASK_FILE).read_text("utf-8"))
        settings = validate(TaskSettings, content, TASK_FILE)
        metrics = tryout.measured(staged, settings, Path(scratch, "the run"))
        with unmakeable(place):
            shutil.copytree(staged, place, symlinks=True, dirs_exist_ok=True)
    values = ", ".join(f"{name} {value:.6g}" for name, value in metrics.items())
    first = f"{place / TASK_FILE}: the program scores {values}"
    return Scaffold(place, [first, *chosen.sentences, *_layout(tryout, place)])


# --- what was named -------------------------------------------------------------------------------


def _folder_of(program: Path, folder: Path | None) -> Path:
    """Return the task's folder.

    Raises:
        UsageError: it holds a task already.
    """
    name = program.resolve().parent.name if program.stem == "__init__" else program.stem
    chosen = folder or Path(name)
    if folder is None and chosen.is_dir() and not (chosen / TASK_FILE).exists():
        is_free = not any(chosen.iterdir())
        chosen = chosen if is_free else Path(f"{name}-task")  # it may be the program's own folder
    if (chosen / TASK_FILE).exists():
        raise UsageError(f"{chosen} holds a task already; choose another --out")
    return chosen


def _check_program(program: Path, scoring: Path) -> None:
    """Refuse a folder, an unreadable name, and the scoring function's file.

    Raises:
        UsageError: the program is one of these.
    """
    if program.is_dir():
        inner = [path for path in sorted(_python_in(program)) if not path.samefile(scoring)]
        some = written([str(path) for path in inner]) or "it holds no Python"
        raise UsageError(
            f"{program} is a folder; name the file in it to evolve ({some}); the modules that it "
            "imports are copied too"
        )
    if any("\ud800" <= sign <= "\udfff" for sign in program.name):
        raise UsageError(f"the name of {program} is not UTF-8, but {TASK_FILE} must be; rename it")
    if scoring.name == program.name:
        raise UsageError(
            f"the program and the scoring function are both called {scoring.name}, but a candidate "
            "must not hold its own score; put them into two files with different names"
        )


def _python_in(folder: Path) -> Iterator[Path]:
    """Yield the Python files of a folder, without those of runs, tasks, caches and environments."""
    for path in folder.iterdir():
        if path.is_dir():
            is_foreign = any((path / name).exists() for name in (TASK_FILE, "pyvenv.cfg"))
            if not (is_aside(path) or is_foreign or path.is_symlink()):
                yield from _python_in(path)
        elif path.suffix == ".py" and not is_aside(path):
            yield path


def _scoring_function(scoring: str) -> tuple[Path, str]:
    """Return the file and the function's name; by default the only public function."""
    place, _, name = (scoring, "", "") if Path(scoring).is_file() else scoring.rpartition(":")
    file = Path(place or name)
    name = name if place else ""
    if file.is_dir():
        raise UsageError(f"{file} is a folder; name the file of the scoring function in it")
    if not file.is_file():
        raise UsageError(f"{file} does not exist; name the file of the scoring function")
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError as error:
        raise UsageError(f"{file}:{error.lineno}: {error.msg}; correct it first") from error
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
        f"{file} has {len(found)} public functions; name the one that scores: {file}:FUNCTION"
    )


# --- the direction --------------------------------------------------------------------------------


def _objectives(tryout: Tryout, maximize: Sequence[str], minimize: Sequence[str]) -> Objectives:
    """Return the objectives: as given, as the name suggests, or as the numbers do.

    Raises:
        UsageError: they have to be given.
    """
    metrics = tryout.metrics
    for name in (*maximize, *minimize):
        if name not in metrics:
            raise UsageError(f"the scoring function returns no '{name}'; {nearest(name, metrics)}")
    if maximize or minimize:
        return Objectives(maximize, minimize)
    if _COMBINED in metrics:
        return Objectives([_COMBINED], [], [f"maximize {_COMBINED}: by its name"])
    if len(metrics) > 1:
        guessed = " ".join(f"--{by_name(name) or 'maximize'} {name}" for name in metrics)
        raise UsageError(
            f"the scoring function returns {', '.join(metrics)}; name those to optimise, each by "
            f"--maximize METRIC or --minimize METRIC: some of {guessed}"
        )
    (name,) = metrics
    direction, why = _direction(tryout, name)
    sentence = f"{direction} {name}: {why}"
    if direction == "maximize":
        return Objectives([name], [], [sentence])
    return Objectives([], [name], [sentence])


def _direction(tryout: Tryout, name: str) -> tuple[Direction, str]:
    """Return the direction of a metric, and the reason."""
    told = None if tryout.is_number and name == NUMBER else by_name(name)
    if told is not None:
        return told, "by its name"
    seed = tryout.metrics[name]
    for does, value in tryout.worst():
        direction = by_numbers(seed, value)
        if direction is not None:
            return direction, (
                f"the seed has {seed:.6g}, a program that {does} has {value:.6g}; if that is "
                "wrong, change [objective]"
            )
    return "maximize", (
        "assumed, because neither its name nor a program that returns 0 shows it; if that is "
        "wrong, change [objective]"
    )


# --- writing --------------------------------------------------------------------------------------


def _write(tryout: Tryout, chosen: Objectives, folder: Path, place: Path) -> None:
    """Write the task into a new folder.

    Args:
        tryout: knows its files.
        chosen: the objectives.
        folder: to make.
        place: its final place.

    Raises:
        UsageError: two files would have the same name.
    """
    files = dict(_judge_files(tryout))
    if not tryout.is_in_place:
        for name, path in tryout.seed.names.items():
            if files.setdefault(name, path) != path:
                raise UsageError(
                    f"{files[name]} and {path} would both be {name} in the task; rename one of them"
                )
    folder.mkdir(parents=True)
    for name, path in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.stat().st_size > LARGEST:
            target.symlink_to(path)
        else:
            shutil.copyfile(path, target)
    content = commented(_content(tryout, chosen, place))
    (folder / TASK_FILE).write_text(content, encoding="utf-8")


def _judge_files(tryout: Tryout) -> Iterator[tuple[str, Path]]:
    for name, path in tryout.judge.names.items():
        if tryout.inside is None or path != tryout.seed.main:
            yield name, path


def _content(tryout: Tryout, chosen: Objectives, place: Path) -> dict[str, dict[str, Any]]:
    """Return the settings of the task.toml that differ from the defaults."""
    seed, judge = tryout.seed, tryout.judge
    task: dict[str, Any] = {"description": _description(tryout.program)}
    if tryout.is_in_place:
        task["root"] = os.path.relpath(seed.base, place.resolve())
    task["program"] = seed.patterns
    if len(seed.patterns) > 1:
        task["edit"] = seed.patterns[:1]
    evaluator: dict[str, Any] = {"use": f"{judge.name_of(judge.main)}:{tryout.function}"}
    limit = float(math.ceil(20 * tryout.seconds))
    if limit > EvaluatorSection.model_fields["timeout"].default:
        evaluator["timeout"] = limit
    objective: dict[str, Any] = {}
    for key, names in (("maximize", chosen.maximize), ("minimize", chosen.minimize)):
        if names:
            objective[key] = list(names)
    if len(chosen.maximize) + len(chosen.minimize) > 1:
        worst = {name: _worse(tryout.metrics[name], -1) for name in chosen.maximize}
        worst |= {name: _worse(tryout.metrics[name], 1) for name in chosen.minimize}
        objective["reference"] = worst
    modules = _preloadable(seed.names.values())
    return {
        "task": task,
        "evaluator": evaluator,
        "objective": objective,
        "budget": {"evaluations": _EVALUATIONS},
        **({"sandbox": {"preload": modules}} if modules else {}),
    }


def _layout(tryout: Tryout, place: Path) -> Iterator[str]:
    """Yield sentences about the files of the task."""
    seed, judge = tryout.seed, tryout.judge
    main = judge.name_of(judge.main)
    copied = [main, *(name for name, _ in _judge_files(tryout) if name != main)]
    if not tryout.is_in_place:
        copied += [name for name in seed.names if name not in copied]
    yield f"Copied into {place}: {written(copied)}. Runs use the copies."
    if tryout.is_in_place:
        yield (
            f"The program stays {seed.name_of(seed.main)} in {seed.base}: "
            "'evolver apply' changes it there, on a branch."
        )
    more = seed.patterns[1:]
    if more:
        yield f"Files beside the program: {written(more)}."
    yield from (*seed.notes, *judge.notes)
    if tryout.inside is not None:
        yield _INSIDE.format(function=tryout.function)


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder, and remove it if it stays empty.

    Raises:
        UsageError: it cannot be made or written.
    """
    is_new = not folder.exists()
    with unmakeable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass  # a folder that is read-only fails here, before the measurements
    try:
        yield
    finally:
        if is_new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _check_free(staged: Path, folder: Path) -> None:
    """Check that no file of a task would replace another one.

    Raises:
        UsageError: one would.
    """
    for path in staged.rglob("*"):
        target = folder / path.relative_to(staged)
        if not path.is_file() or not os.path.lexists(target):
            continue
        if not target.is_file() or target.read_bytes() != path.read_bytes():
            raise UsageError(f"{target} exists and differs; choose another --out")


def _worse(value: float, sign: int) -> float:
    """Return a value that is worse by its own size, in the direction of `sign`."""
    return float(f"{value + sign * (abs(value) or 1.0):.3g}")


def _tree(program: Path) -> ast.Module:
    """Parse a program; return an empty module if it is not Python."""
    try:
        return ast.parse(program.read_bytes())
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _description(program: Path) -> str:
    """Return the first line of the program's docstring, or of its first function's."""
    tree = _tree(program)
    for node in (tree, *tree.body):
        if isinstance(node, ast.Module | ast.FunctionDef):
            said = ast.get_docstring(node)
            if said:
                return said.splitlines()[0]
    return f"Improve {program.name}."


def _preloadable(files: Iterable[Path]) -> list[str]:
    """Return the slow libraries that a program imports, to load them once before forking."""
    names = set()
    for node in (node for file in files if file.suffix == ".py" for node in ast.walk(_tree(file))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return [name for name in ("numpy", "scipy") if name in names and find_spec(name)]
