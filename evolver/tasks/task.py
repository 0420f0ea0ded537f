"""Load a task: a folder with a task.toml, the seed program and the evaluator."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from evolver.errors import UsageError
from evolver.programs.edits import find_regions, first_region_alone
from evolver.tasks.objective import Condition, Objective
from evolver.tasks.settings import TaskSettings, validate
from evolver.types import Brief, Files, PromptSettings

TASK_FILE = "task.toml"
RUNS = "runs"  # the folder of runs without --out
_PROMPTS = "prompts"
_ASIDE = (".*", RUNS, "__pycache__", "*.pyc", "node_modules")
_DATABASE = "evolver.db"  # a folder that holds it is a run; see evolver.storage.database
_LARGEST_FILE = 16 * 2**20  # bytes; a program is source, not data


@dataclass(frozen=True)
class Task:
    """A task as loaded: its settings, and the contents of its files."""

    name: str
    root: Path  # the task's folder
    settings: TaskSettings
    files: Files  # editable; paths relative to `program_root`, as are those of `readonly`
    readonly: Files
    context: Mapping[str, str]
    main: str = ""  # the first Python file that [task] program names, editable or not
    must_reject: Files = field(default_factory=dict)  # known-bad programs, each one file

    @property
    def program_root(self) -> Path:
        """The folder of the program's files and the context."""
        return (self.root / self.settings.task.root).resolve()

    @cached_property
    def objective(self) -> Objective:
        """What is better."""
        section = self.settings.objective
        return Objective(
            section.maximize,
            section.minimize,
            tuple(Condition.parse(name, text) for name, text in section.require.items()),
            section.reference,
        )

    @cached_property
    def base(self) -> str:
        """Hash of the files that no edit may change."""
        digest = hashlib.sha256()
        for path in sorted(self.readonly):
            size = len(self.readonly[path])
            digest.update(f"{path}\0{size}\0".encode("utf-8", "surrogateescape"))
            digest.update(self.readonly[path])
        return digest.hexdigest()

    @property
    def program_files(self) -> Iterator[str]:
        """Paths of the files below `program_root`."""
        yield from (*self.files, *self.readonly, *self.context)

    @property
    def named(self) -> Iterator[str]:
        """Paths of other files that the settings name, or may name."""
        yield from self.must_reject
        settings = self.settings
        tables = (*settings.operator, *settings.model)
        plugins = (
            settings.evaluator.use,
            settings.sandbox.use,
            *(table.get("use", "") for table in tables),
            *(
                choice if isinstance(choice, str) else choice.get("use", "")
                for choice in (settings.islands.archive, settings.islands.policy)
            ),
        )
        yield from (use.rpartition(":")[0] for use in plugins if isinstance(use, str))
        if settings.prompts.folder:
            yield settings.prompts.folder

    @cached_property
    def prompts(self) -> str:
        """Folder of the task's own prompt templates; "" if it has none.

        Raises:
            UsageError: the settings name a folder that does not exist.
        """
        named = self.settings.prompts.folder
        folder = self.root / (named or _PROMPTS)
        is_inside = not Path(named).is_absolute() and ".." not in Path(named).parts
        if folder.is_dir() and is_inside:
            return str(folder)
        if named:
            raise UsageError(
                f"[prompts] folder: {self.root} has no folder '{named}'; put the templates there"
            )
        return ""

    @cached_property
    def brief(self) -> Brief:
        """What operators may see."""
        return Brief(
            description=self.settings.task.description,
            seed=self.files,
            readonly=self.readonly,
            context=self.context,
            objectives=self.objective.directions,
            require={c.metric: f"{c.comparison} {c.bound:g}" for c in self.objective.require},
            units=self.settings.objective.units,
            timeout=self.settings.evaluator.timeout,
            prompts=PromptSettings(
                self.prompts,
                self.settings.prompts.tokens,
                self.settings.prompts.vary,
                explain="no-context" not in self.settings.ablate,
            ),
        )


def load_task(folder: Path) -> Task:
    """Load a task folder.

    Raises:
        UsageError: something is missing or invalid; the message says what to do.
    """
    folder = folder.resolve()
    if folder.name == TASK_FILE and folder.is_file():
        folder = folder.parent
    path = folder / TASK_FILE
    if not folder.exists():
        raise UsageError(f"{folder} does not exist; name the folder of a task")
    if not path.is_file():
        raise UsageError(
            f"{folder} has no {TASK_FILE}; make one with 'evolver init PROGRAM SCORING_FUNCTION'"
        )
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    settings = validate(TaskSettings, content, str(path))
    return assemble_task(folder.name, folder, settings)


def assemble_task(
    name: str, root: Path, settings: TaskSettings, *, is_recorded: bool = False
) -> Task:
    """Read the files that the settings name.

    Args:
        name: of the task.
        root: its folder.
        settings: those of its task.toml.
        is_recorded: whether it is a run's copy; see `evolver.programs.markers`.

    Raises:
        UsageError: a pattern matches nothing, a file is outside the folder, markers do not pair.
    """
    root = root.resolve()  # the working directory may change later
    section = settings.task
    source = (root / section.root).resolve()
    if not source.is_dir():
        raise UsageError(
            f"{root / TASK_FILE}: [task] root: the folder {source} does not exist; correct it"
        )
    bad = _read(root, settings.evaluator.must_reject, "[evaluator] must_reject")
    evaluator = settings.evaluator.use.rpartition(":")[0]
    judges = {os.path.relpath(root / path, source) for path in (evaluator, *bad)}
    patterns = [*section.program, *section.edit]
    program = _without(judges, _read(source, patterns, "[task] program"), patterns)
    if not program:
        raise UsageError(f"{root / TASK_FILE}: [task] program names no file; add the seed program")
    wanted = _read(source, section.edit, "[task] edit") if section.edit else program
    if "one-region" in settings.ablate:
        wanted = first_region_alone(wanted)
        program |= wanted
    regions = find_regions(wanted, is_recorded=is_recorded)
    paths = {region.path for region in regions}
    files = {path: content for path, content in program.items() if path in paths}
    context = _without(judges, _read(source, section.context, "[task] context"), section.context)
    task = Task(
        name,
        root,
        settings,
        files,
        {path: content for path, content in program.items() if path not in paths},
        {path: content.decode("utf-8", "replace") for path, content in context.items()},
        next((path for path in program if path.endswith(".py")), ""),
        bad,
    )
    _ = task.objective, task.prompts  # report a mistake now, not at the first evaluation
    return task


def _without(
    judges: Collection[str], found: Mapping[str, bytes], patterns: Collection[str]
) -> dict[str, bytes]:
    """Leave out the evaluator and the bad examples, unless a pattern names them in full.

    A pattern such as "*.py" must not show them to a candidate or a model by accident.
    """
    return {
        path: content for path, content in found.items() if path not in judges or path in patterns
    }


def is_aside(path: Path) -> bool:
    """Tell whether a path in a task's folder is part of the task only if it is named in full.

    These are hidden files, caches, runs, and broken links. Patterns skip them and runs do not copy
    them: the two must agree, because a run reads its copy.
    """
    return (
        any(fnmatch(path.name, pattern) for pattern in _ASIDE)
        or not (path.is_file() or path.is_dir())
        or (path / _DATABASE).exists()
    )


def _matches(root: Path, pattern: str) -> Iterator[Path]:
    """Yield the files that a pattern matches; see `is_aside` for those that it skips."""
    spelt = Path(pattern).parts
    for path in root.glob(pattern):
        parts = path.relative_to(root).parts
        places = (root.joinpath(*parts[: depth + 1]) for depth in range(len(parts)))
        if path.is_file() and not any(p.name not in spelt and is_aside(p) for p in places):
            yield path


def _read(root: Path, patterns: Iterable[str], where: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for pattern in patterns:
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            instead = ", or let [task] root name a folder that holds it" * where.startswith(
                "[task]"
            )
            raise UsageError(
                f"{where}: '{pattern}' lies outside {root}; move the file into it{instead}"
            )
        try:
            spelt = root / pattern  # a name may hold * or [
            matches = [spelt] if spelt.is_file() else sorted(_matches(root, pattern))
        except ValueError as error:
            raise UsageError(f"{where}: '{pattern}' is not a valid pattern: {error}") from error
        if not matches:
            raise UsageError(
                f"{where}: '{pattern}' matches no file in {root}; correct it or add the file"
            )
        for path in matches:
            if path.stat().st_size > _LARGEST_FILE:
                raise UsageError(f"{where}: {path} is larger than 16 MiB; name source files only")
            found[path.relative_to(root).as_posix()] = path.read_bytes()
    return found
