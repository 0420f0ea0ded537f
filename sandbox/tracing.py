"""Records the files that a program opened and the imports that failed, for `init` to add them.

This is guest code, in the program's process. A program asks for a missing file by the path that it
has in its original folder.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import candidate  # `sandbox.program.CandidateModule`

_opened: dict[str, None] = {}
_missed: dict[str, None] = {}


class _Last:
    """The last finder: it is asked for modules that no other finder has."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        """Record the name, and find nothing."""
        _missed[name] = None


def begin() -> None:
    """Record from now on."""
    sys.addaudithook(_note)
    sys.meta_path.append(_Last)


def told() -> list[list[str]]:
    """Return the files opened, relative to the program's root, and the missing modules."""
    return [list(_opened), list(_missed)]


def _note(event: str, args: tuple[Any, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir") and isinstance(args[0], str | bytes):
        path = _relative(os.path.abspath(os.fsdecode(args[0])))  # noqa: PTH100
        if path is not None:
            _opened[path] = None


def _relative(path: str) -> str | None:
    """Return a path relative to the program's root; None if it is a file of the system."""
    scratch = os.environ["TMPDIR"]
    for top in (candidate.root, f"{scratch}/task", scratch):
        if path.startswith(f"{top}/"):
            return path[len(top) + 1 :]
    if os.path.lexists(path):  # it is the system's
        return None
    return os.path.relpath(path, candidate.root)
