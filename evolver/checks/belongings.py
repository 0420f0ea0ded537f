"""The files of a user's project that a program or its evaluator needs, and their layout."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evolver.checks.probe import Told
from evolver.evaluation.inside import with_packages
from evolver.programs.imports import found, import_base, own_modules
from evolver.runs.repository import project_of

LARGEST = 64 * 2**20  # bytes of a folder of data that is copied whole
_MOST = 5000  # files in such a folder
_FOREIGN = ("__pycache__", "site-packages", "dist-packages", "node_modules")


class Belongings:
    """The files that one file needs, with their names in a task.

    Attributes:
        main: the file.
        project: the folder that holds all of them: the repository, the current folder, or the
            folder that the file is imported from.
        base: the folder that the names are relative to, as deep in the project as possible.
        notes: remarks for the user, in sentences.
    """

    def __init__(self, main: Path, *, base: Path | None = None) -> None:
        self.main = main.resolve()
        here = Path.cwd()
        is_here = self.main.is_relative_to(here)
        self.project = project_of(self.main.parent) or (here if is_here else import_base(self.main))
        self.base = base or import_base(self.main)
        self.notes: list[str] = []
        self._files: dict[Path, None] = {self.main: None}
        self._folders: dict[Path, None] = {}  # folders of data, which are copied whole
        self._refused: set[Path] = set()  # folders that are too large for that

    @property
    def names(self) -> dict[str, Path]:
        """The files by their names, the main one first."""
        files = [*self._files, *(f for folder in self._folders for f in _files_in(folder))]
        return {self.name_of(path): path for path in dict.fromkeys(files)}

    @property
    def patterns(self) -> list[str]:
        """Patterns for a task.toml that match them all, the main one first."""
        folders = self._folders
        single = [p for p in self._files if not any(p.is_relative_to(f) for f in folders)]
        first, *others = [glob.escape(self.name_of(path)) for path in single]
        whole = [f"{glob.escape(self.name_of(folder))}/**/*" for folder in folders]
        return [first, *sorted(others), *sorted(whole)]

    def __contains__(self, path: Path) -> bool:
        """Tell whether a file or a folder is needed."""
        return path in self._files or any(path.is_relative_to(f) for f in self._folders)

    def name_of(self, path: Path) -> str:
        """Return the name of a file or a folder."""
        return path.relative_to(self.base).as_posix()

    def add(self, paths: Iterable[Path]) -> None:
        """Add files, except those outside the project."""
        for path in paths:
            if self._is_own(path) and path not in self._files:
                self._files[path] = None
                self._hold(path)

    def add_data(self, path: Path) -> None:
        """Add a file or a folder that was read, with the folder of data that holds it."""
        if not self._is_own(path):
            return
        folder = path if path.is_dir() else path.parent
        if self._is_data(folder):
            if not any(folder.is_relative_to(other) for other in self._folders):
                inner = [other for other in self._folders if other.is_relative_to(folder)]
                self._folders = {f: None for f in self._folders if f not in inner}
                self._folders[folder] = None
                self._hold(folder)
        elif path.is_file():
            self.add([path])

    def widen(self, folder: Path) -> None:
        """Move the base up to a folder, if that is in the project."""
        if folder.is_relative_to(self.project):
            self._hold(folder / "_")

    def _hold(self, path: Path) -> None:
        self.base = Path(os.path.commonpath([self.base, path.parent]))

    def _is_own(self, path: Path) -> bool:
        if not path.is_relative_to(self.project) or path.suffix == ".pyc":
            return False
        parts = path.relative_to(self.project).parts
        if any(part.startswith(".") or part in _FOREIGN for part in parts):
            return False
        inner = (self.project.joinpath(*parts[:depth]) for depth in range(1, len(parts)))
        return not any((folder / "pyvenv.cfg").is_file() for folder in inner)

    def _is_data(self, folder: Path) -> bool:
        """Tell whether a folder holds only data, and little enough to be copied whole."""
        if folder == Path.cwd() or self.main.is_relative_to(folder) or folder in self._refused:
            return False
        size = 0
        for number, path in enumerate(_files_in(folder)):
            if path.suffix == ".py":
                self._refused.add(folder)
                return False
            size += path.stat().st_size
            if size > LARGEST or number > _MOST:
                self._refused.add(folder)
                self.notes.append(
                    f"{folder} holds more than {LARGEST >> 20} MiB or {_MOST} files: only files "
                    "that one evaluation of the seed opened are copied"
                )
                return False
        return True


def of_program(main: Path, *, judge: Path, in_place: bool) -> Belongings:
    """Return a program with the modules that it imports.

    Args:
        main: its file.
        judge: the scoring function's file, which is left out.
        in_place: name the files from the project's root.

    Raises:
        UsageError: one of them is not valid Python.
    """
    belongings = Belongings(main)
    if in_place:
        belongings.base = belongings.project
    places = [import_base(belongings.main), belongings.project]
    modules = own_modules(belongings.main, places)
    belongings.add(path for path in modules if path != judge.resolve())
    return belongings


def of_evaluator(file: Path) -> Belongings:
    """Return a scoring function's file with the modules that it imports.

    Raises:
        UsageError: one of them is not valid Python.
    """
    belongings = Belongings(file, base=file.resolve().parent)
    belongings.add(with_packages(belongings.main))
    return belongings


def grow_evaluator(belongings: Belongings, told: Told) -> None:
    """Add the files that an evaluation opened and imported in the evaluator's process."""
    belongings.add(Path(file) for file in told.modules)
    for place, is_relative in told.opened.items():
        path = Path(place)
        belongings.add_data(path)
        if is_relative and path in belongings:
            belongings.widen(Path.cwd())


def grow_program(belongings: Belongings, told: Told, judge: Path) -> bool:
    """Add the files that a candidate's process asked for; tell whether any is new."""
    before = belongings.names
    places = [import_base(belongings.main), belongings.project]
    modules = [path for name in told.missed for path in found(name, places)]
    belongings.add(path for path in modules if path != judge.resolve())
    base = belongings.base
    for name in told.wanted:
        for folder in (base, Path.cwd()):
            path = Path(os.path.normpath(folder / name))
            if path.exists():
                belongings.add_data(path)
                if folder != base:
                    belongings.widen(folder)
                break
    return belongings.names != before


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield the files that can be copied: no hidden ones, pipes or broken links."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in _FOREIGN and not f.startswith("."))
        files = (Path(place, name) for name in sorted(names) if not name.startswith("."))
        yield from (file for file in files if file.is_file())


def written(paths: Sequence[str], most: int = 6) -> str:
    """Write names in a sentence, the first few of many."""
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(paths[:most]) + more
