"""Which of the user's own modules a file imports, found without importing it."""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from evolver.errors import UsageError

_C = {".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".cu", ".cuh"}
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)


def parsed(path: Path) -> ast.Module:
    """Parse a file.

    Raises:
        UsageError: it is not valid Python.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # warnings about the author's style
            return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        place = f"{path}:{error.lineno}" if isinstance(error, SyntaxError) else path
        raise UsageError(f"{place}: {getattr(error, 'msg', error)}; fix it first") from error


def import_base(path: Path) -> Path:
    """Return the folder from which a file is imported: the parent of its outermost package."""
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    return folder


def own_modules(path: Path, places: Sequence[Path]) -> Iterator[Path]:
    """Yield a file and the user's files that it imports, directly or indirectly.

    For a file in C, these are the files that it includes. Files in other languages have none.

    Args:
        path: the file.
        places: folders to search for modules; a module found in none of them is installed.

    Raises:
        UsageError: one of them is not valid Python.
    """
    waiting, seen = [path, *_packages_around(path)], set[Path]()
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        yield file
        if file.suffix in _C:
            waiting += _included(file)
        for node in ast.walk(parsed(file)) if file.suffix == ".py" else ():
            if isinstance(node, ast.Import):
                for alias in node.names:
                    waiting += found(alias.name, places)
            elif isinstance(node, ast.ImportFrom):
                waiting += _imported_from(node, file, places)


def _included(file: Path) -> Iterator[Path]:
    for match in _INCLUDE.finditer(file.read_text("utf-8", "replace")):
        path = Path(os.path.normpath(file.parent / match[1]))
        if path.is_file():
            yield path


def _packages_around(path: Path) -> list[Path]:
    base = import_base(path)
    return [
        folder / "__init__.py"
        for folder in path.parents
        if folder != base and base in folder.parents
    ]


def _imported_from(node: ast.ImportFrom, file: Path, places: Sequence[Path]) -> list[Path]:
    name = node.module or ""
    if node.level:
        folder = file.parent
        for _ in range(node.level - 1):
            folder = folder.parent
        places = [folder]
    modules = found(name, places) if name else found("__init__", places)
    for alias in node.names:  # each is a module, or a name in a module
        modules += found(f"{name}.{alias.name}" if name else alias.name, places)
    return modules


def found(name: str, places: Sequence[Path]) -> list[Path]:
    """Return the files that `import name` executes, from the first place with its first part."""
    first = name.partition(".")[0]
    for place in places:
        if (place / f"{first}.py").is_file() or (place / first).is_dir():
            return _walked(name.split("."), place)
    return []


def _walked(parts: Sequence[str], folder: Path) -> list[Path]:
    files = []
    for part in parts:
        if (folder / part / "__init__.py").is_file():
            files.append(folder / part / "__init__.py")
        elif (folder / f"{part}.py").is_file():
            return [*files, folder / f"{part}.py"]
        folder = folder / part
    return files
