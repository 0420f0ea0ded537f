"""The source of a function with what it needs from its module, as a program of its own.

A candidate runs without the module in which its function was written. So the program's file also
holds the imports, the constants and the other functions that the function uses.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import importlib.util
import inspect
import math
import symtable
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from evolver.errors import UsageError

_LARGEST = 100_000  # characters of a constant
_POSTPONED = "from __future__ import annotations\n"


def source_of(program: Callable[..., Any]) -> str:
    """Return the source of a function or a class, after what it uses from its module.

    Raises:
        UsageError: its source cannot be found, or it uses a value that has no source.
    """
    parts = _Parts()
    parts.add(program, _name_of(program))
    if parts.refused:
        reasons = "; ".join(f"{name} {reason}" for name, reason in parts.refused.items())
        raise UsageError(
            f"the program {_name_of(program)} uses what its file cannot hold: {reasons}. "
            "Define it inside the function, or give the program as a string"
        )
    return parts.text()


class _Parts:
    """The lines of the file: imports, constants, functions, each after what it needs."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}  # name -> why it cannot be written
        self._bound: dict[str, Any] = {}  # name -> its value in the file
        self._imports: list[str] = []
        self._constants: list[str] = []
        self._sources: list[str] = []
        self._is_postponed = False

    def add(self, thing: Any, name: str) -> None:
        """Add a function or a class under a name, after what it uses."""
        source, defined = _written(thing)
        surroundings, postponed = _surroundings(thing)
        self._is_postponed |= postponed and _is_annotated(source)
        self._bound |= dict.fromkeys(defined, thing)
        for free in _free_names(_POSTPONED * postponed + source):
            if free in surroundings:
                self._bind(free, surroundings[free], thing)
        self._sources.append(source)
        if name not in defined:
            self._sources.append(f"{name} = {defined[0]}")

    def _bind(self, name: str, value: Any, user: Any) -> None:
        if name in self.refused:
            return
        if name in self._bound:
            if self._bound[name] is not value and repr(self._bound[name]) != repr(value):
                self.refused[name] = "stands for different things in two modules"
            return
        self._bound[name] = value
        try:
            if isinstance(value, ModuleType):
                self._imports.append(_import_of(name, value))
            elif (line := _importing(name, value, user)) is not None:
                self._imports.append(line)
            elif inspect.isfunction(inspect.unwrap(value)) or inspect.isclass(value):
                self.add(value, name)
            else:
                self._constants.append(f"{name} = {_literal(value)}")
        except _CannotTravelError as error:
            self.refused[name] = str(error)
        except UsageError:
            self.refused[name] = f"is a {type(value).__name__} without a source of its own"

    def text(self) -> str:
        """Return the file."""
        imports = [_POSTPONED.rstrip()] * self._is_postponed + sorted(dict.fromkeys(self._imports))
        head = ["\n".join(imports), "\n".join(self._constants)]
        top = "\n\n".join(filter(None, head))
        sources = (source.strip("\n") for source in self._sources)
        return "\n\n\n".join([*filter(None, [top]), *sources]) + "\n"


class _CannotTravelError(Exception):
    """Why a value cannot be written, as the end of a sentence."""


def _name_of(thing: Any) -> str:
    return str(getattr(thing, "__name__", type(thing).__name__))


def _written(thing: Any) -> tuple[str, Sequence[str]]:
    """Return the source of a function or a class, and the names that it binds.

    Raises:
        UsageError: it has no source, or is part of a line.
    """
    name = _name_of(thing)
    try:
        source = textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError) as error:
        raise UsageError(
            f"the source of the program {name} cannot be found ({error}); give it as a string"
        ) from error
    try:
        body = ast.parse(source).body
    except SyntaxError:
        body = []
    defined = [name for node in body for name in _defined_by(node)]
    if not defined:
        raise UsageError(
            f"the program {name} is a part of a line, {source.splitlines()[0].strip()!r}; "
            "write it as a function of its own with 'def', or give it as a string"
        )
    return source, defined


def _defined_by(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _is_annotated(source: str) -> bool:
    return any(
        getattr(node, "annotation", None) or getattr(node, "returns", None)
        for node in ast.walk(ast.parse(source))
    )


def _surroundings(thing: Any) -> tuple[Mapping[str, Any], bool]:
    """Return the values of the free names of a function or a class.

    Also return whether its module postpones annotations, which are not evaluated then.
    """
    inner = inspect.unwrap(thing)
    if inspect.isclass(inner):
        module = vars(sys.modules[inner.__module__])
        methods = [m for m in vars(inner).values() if inspect.isfunction(m)]
        code = next((method.__code__ for method in methods), None)
        return module, code is not None and _postpones(code.co_flags)
    function = getattr(inner, "__func__", inner)
    found = dict(function.__globals__)
    names = function.__code__.co_freevars
    for name, cell in zip(names, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # it is not bound now
            found.pop(name, None)
    return found, _postpones(function.__code__.co_flags)


def _postpones(flags: int) -> bool:
    return bool(flags & __future__.annotations.compiler_flag)


def _free_names(source: str) -> list[str]:
    """Return the names that a source reads and does not bind, in the order of its text."""
    top = symtable.symtable(source, "program", "exec")
    own = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned()}
    own |= {child.get_name() for child in top.get_children()}
    names: dict[str, None] = {}
    for table in _tables(top):
        for symbol in table.get_symbols():
            is_outer = symbol.is_global() or table is top
            if is_outer and symbol.is_referenced() and symbol.get_name() not in own:
                names[symbol.get_name()] = None
    return [name for name in names if name not in ("__name__", "__file__", "__doc__")]


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _import_of(name: str, module: ModuleType) -> str:
    full = module.__name__
    if not _is_installed(full):
        raise _CannotTravelError(
            f"is a module of your own, which no candidate can import (write "
            f"'from {full} import ...', and the source of what you import is included)"
        )
    if full == name:
        return f"import {full}"
    package, _, last = full.rpartition(".")
    if not package:
        return f"import {full} as {name}"
    return f"from {package} import {last}" + ("" if last == name else f" as {name}")


def _importing(name: str, value: Any, user: Any) -> str | None:
    """Return the line that imports a value under a name; None where it is not installed.

    The line names the module of a function or a class, or repeats the import of the using module.
    """
    alias = f" as {name}"
    module, own = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if isinstance(module, str) and isinstance(own, str) and "." not in own:
        is_there = getattr(sys.modules.get(module), own, None) is value
        if is_there and _is_installed(module):
            return f"from {module} import {own}" + alias * (own != name)
    for node in ast.walk(_module_of(user)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for imported in node.names:
                if (imported.asname or imported.name) == name and _is_installed(node.module):
                    return f"from {node.module} import {imported.name}" + alias * (
                        imported.name != name
                    )
    return None


def _module_of(thing: Any) -> ast.Module:
    """Return the module in which a function or a class was written; None without a source."""
    try:
        lines, _ = inspect.findsource(inspect.unwrap(thing))
        return ast.parse("".join(lines))
    except (OSError, TypeError, SyntaxError):
        return ast.Module([], [])


@cache
def _is_installed(module: str) -> bool:
    """Can a candidate import a module: from the standard library, or an installed package?"""
    top = module.partition(".")[0]
    if top in ("evolver", "__main__"):
        return False
    if top in sys.stdlib_module_names:
        return True
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    installed = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
    return any(place and Path(place).is_relative_to(path) for place in places for path in installed)


def _literal(value: Any) -> str:
    """Write a constant as Python.

    Raises:
        _CannotTravelError: it is not a constant, or too long.
    """
    text = _expression(value)
    if len(text) > _LARGEST:
        raise _CannotTravelError(f"has {len(text)} characters of Python, more than {_LARGEST}")
    return text


def _expression(value: Any) -> str:
    kind = type(value)
    if kind is float and not math.isfinite(value):
        return f'float("{value}")'
    if value is None or kind in (bool, int, float, complex, str, bytes):
        return repr(value)
    if kind is dict:
        items = (f"{_expression(key)}: {_expression(item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if kind in (list, tuple, set, frozenset):
        inner = ", ".join(map(_expression, value))
        if kind is list:
            return f"[{inner}]"
        if kind is tuple:
            return f"({inner}{',' * (len(value) == 1)})"
        written = f"{{{inner}}}" if value else "set()"
        return written if kind is set else f"frozenset({written if value else ''})"
    name = _name_of(value)
    if getattr(builtins, name, None) is value:
        return name
    raise _CannotTravelError(f"is a {kind.__module__}.{kind.__qualname__}".replace("builtins.", ""))
