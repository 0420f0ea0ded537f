"""Tells what a program opened and could not import, so that `init` can bring it along.

This is guest code, in the program's process. What a program does not find there it asks for all the
same, by the name that it has at home.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import candidate  # what guest code gets: see `sandbox.program.CandidateModule`

_opened: dict[str, None] = {}
_missed: dict[str, None] = {}


class _Last:
    """Asked for a module after all others have been: nothing has it."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        """Note the name, and find nothing."""
        _missed[name] = None


def begin() -> None:
    """Listen from now on."""
    sys.addaudithook(_note)
    sys.meta_path.append(_Last)


def told() -> list[list[str]]:
    """Return the files asked for, relative to the program's root, and modules that are not here."""
    return [list(_opened), list(_missed)]


def _note(event: str, args: tuple[Any, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir") and isinstance(args[0], str | bytes):
        path = _relative(os.path.abspath(os.fsdecode(args[0])))  # noqa: PTH100
        if path is not None:
            _opened[path] = None


def _relative(path: str) -> str | None:
    """Return a path relative to the program's root; None where it is none of its files."""
    scratch = os.environ["TMPDIR"]
    for top in (candidate.root, f"{scratch}/task", scratch):
        if path.startswith(f"{top}/"):
            return path[len(top) + 1 :]
    if os.path.lexists(path):  # it is the system's
        return None
    return os.path.relpath(path, candidate.root)
