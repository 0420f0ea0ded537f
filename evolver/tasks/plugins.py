"""Plug-ins: find them by name, path or import path, and configure them from task.toml.

A plug-in is a class whose dataclass fields are its settings, or a function whose keyword arguments
are. A user's and ours are found and configured alike.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from evolver.bundled import bundled
from evolver.errors import UsageError
from evolver.tasks.mistakes import sentence


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ": did you mean ...?" with the nearest known name, or the list of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(known) or 'none'}"


@contextlib.contextmanager
def leaving_no_bytecode() -> Iterator[None]:
    """Import without a `__pycache__` beside the files, which are the user's."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def load_module(path: Path) -> ModuleType:
    """Execute a Python file, or a folder with an `__init__.py`, as a module.

    Raises:
        UsageError: the file does not exist, or fails to import.
    """
    path = path.resolve()
    file = path / "__init__.py" if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"{path} does not exist; check the path")
    try:
        with leaving_no_bytecode():
            return importlib.import_module(_name_of(path))
    except Exception as error:  # a user's module may raise anything
        raise UsageError(f"{path} fails to import:\n{_told(error)}") from error


#: Modules loaded by path have names in which this module is their package. So a process that a
#: plug-in starts by `spawn` or `forkserver` imports this module before it looks for the plug-in.
__path__: list[str] = []


def _name_of(path: Path) -> str:
    """Return the name of the module of a file or folder: the path, without dots."""
    return f"{__name__}.{str(path).replace('%', '%25').replace('.', '%2E')}"


class _Paths(importlib.abc.MetaPathFinder):
    """Finds the modules whose names are made of paths, in this process and in its children."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module of a file, or of a folder with an `__init__.py`."""
        parent, _, name = fullname.rpartition(".")
        if parent != __name__ or not name.startswith(os.sep):
            return None
        place = Path(name.replace("%2E", ".").replace("%25", "%"))
        if place.is_dir():
            return importlib.util.spec_from_file_location(
                fullname, place / "__init__.py", submodule_search_locations=[str(place)]
            )
        if str(place.parent) not in sys.path:
            sys.path.append(str(place.parent))  # a plug-in file may import its neighbours
        return importlib.util.spec_from_file_location(fullname, place)


sys.meta_path.append(_Paths())


def _told(error: Exception) -> str:
    """Return the traceback without the frames of the import system and of this module."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(
        (__file__, "<frozen importlib", importlib.__file__)
    ):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames)).rstrip()


def find(use: str, *, root: Path, kind: str, builtin: Mapping[str, str]) -> Any:
    """Find a plug-in.

    Args:
        use: "file.py:name" relative to `root`, "package.module:name", or a bare name: a built-in
            one, or an entry point of the group "evolver.<kind>s".
        root: the task's folder.
        kind: "evaluator", "operator", "policy", "archive": for messages and entry points.
        builtin: bare name -> "package.module:name".

    Raises:
        UsageError: it is not found, or fails to import.
    """
    if ":" not in use:
        if use in builtin:
            use = builtin[use]
        else:
            points = importlib.metadata.entry_points(group=f"evolver.{kind}s")
            for point in points:
                if point.name == use:
                    return point.load()
            raise UsageError(
                f"there is no {kind} named '{use}'; {nearest(use, [*builtin, *points.names])}"
            )
    place, _, name = use.rpartition(":")
    if place.endswith(".py") or "/" in place:
        module = load_module(root / place)
    else:
        try:
            with leaving_no_bytecode():
                module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise UsageError(f"the {kind} '{use}' cannot be imported: {error}") from error
        except Exception as error:  # a user's module may raise anything
            raise UsageError(f"the {kind} '{use}' fails to import:\n{_told(error)}") from error
    try:
        return getattr(module, name)
    except AttributeError:
        public = [known for known in vars(module) if not known.startswith("_")]
        raise UsageError(f"{place} defines no '{name}'; {nearest(name, public)}") from None


def builtin_evaluators() -> dict[str, str]:
    """Names of the evaluators that ship with evolver: files or folders in evaluators/."""
    folder = bundled("evaluators")
    return {
        path.stem: f"{path}:Evaluator"
        for path in sorted(folder.iterdir())
        if not path.name.startswith(("_", ".")) and (path.is_dir() or path.suffix == ".py")
    }


def configure(
    plugin: Any, settings: Mapping[str, Any], where: str, also: Iterable[str] = ()
) -> Any:
    """Make a plug-in's instance from its settings, validated by the types of its fields.

    Args:
        plugin: a dataclass.
        settings: field -> value, as TOML gives them.
        where: names the place of the settings in messages, such as "[evaluator] with".
        also: keys of the same table that somebody else reads, known for messages.

    Raises:
        UsageError: an unknown key (the nearest known one is named), or a value of a wrong type.
    """
    from pydantic import TypeAdapter, ValidationError

    known = [f.name for f in dataclasses.fields(plugin) if f.init]
    for key in settings:
        if key not in known:
            raise UsageError(f"{where}: unknown key '{key}'; {nearest(key, [*known, *also])}")
    try:
        return TypeAdapter(plugin).validate_python(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] in ("missing", "missing_argument"):
            raise UsageError(f"{where}: '{first['loc'][0]}' is missing; add it") from error
        raise UsageError(f"{where}: {sentence(error.errors())}") from error


def check_keywords(function: Any, settings: Mapping[str, Any], where: str) -> None:
    """Check that a function takes the settings as keyword arguments.

    Raises:
        UsageError: it does not; the message names the nearest keyword that it takes.
    """
    parameters = list(inspect.signature(function).parameters.values())
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters[1:]]
    for key in settings:
        if key not in known:
            raise UsageError(f"{where}: unknown key '{key}'; {nearest(key, known)}")
