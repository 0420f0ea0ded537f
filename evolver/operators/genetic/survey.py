"""Where a fragment can be edited: its expressions, its statements, and what is in scope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import libcst as cst

from evolver.operators.genetic.kinds import Names, Type
from evolver.operators.genetic.syntax import is_computed, names_changed
from evolver.operators.genetic.tree import Path
from evolver.operators.genetic.writing import key

SAFE = 0.8  # share of children without risky edits, which may make a program raise


@dataclass(frozen=True, slots=True)
class Site:
    """An expression that may be edited.

    Attributes:
        path: from the fragment's module.
        node: the expression.
        floor: how tightly its replacement must bind, see `writing.placed`.
        kind: its kind; 0 for unknown.
        wants: the kind that may replace it: INTEGER where no other number may; 0 for unknown.
        type: what is known about it.
        names: the variables that are bound there.
        line: path of the statement before which an intermediate can be assigned, or None.
        is_risky: see `expected.Expected`.
        decides: see `expected.Expected`.
    """

    path: Path
    node: cst.BaseExpression
    floor: int
    kind: int
    wants: int
    type: Type
    names: Names
    line: Path | None
    is_risky: bool = False
    decides: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A statement on one or more lines of its own."""

    path: Path  # ends with its position in the suite
    node: cst.BaseStatement
    names: Names  # the variables that are bound before it
    function: str  # qualified name of the function that it stands in, "" at the top level
    is_in_loop: bool
    own: Names  # the variables that its scope binds anywhere: others are of the scopes around
    vital: frozenset[str] = frozenset()  # what the tests of the `while`s around it read
    in_while: bool = False  # is the innermost loop around it a `while`?

    @property
    def is_vital(self) -> bool:
        """May a `while` around it never end without it?"""
        return self.may_stall(self.node)

    def may_stall(self, node: cst.CSTNode) -> bool:
        """May a `while` around it never end if this statement is inserted here or removed?"""
        return bool(self.vital) and not self.vital.isdisjoint(names_changed(node))


@dataclass(frozen=True)
class Survey:
    """Everything that an edit may choose from, in reading order."""

    sites: tuple[Site, ...]
    lines: tuple[Line, ...]
    functions: Mapping[str, Path]  # qualified name -> path
    kinds: Mapping[str, int]  # variable -> its kind, 0 where scopes differ
    types: Mapping[str, Type]  # variable -> its type in the first scope that binds it
    taken: frozenset[str]  # names that the file uses

    @cached_property
    def reads(self) -> Mapping[str, tuple[Site, ...]]:
        """Text of an expression with a computed index -> the sites where it is read."""
        found: dict[str, list[Site]] = {}
        for site in self.sites:
            if is_computed(site.node):
                found.setdefault(key(site.node), []).append(site)
        return {text: tuple(sites) for text, sites in found.items()}

    def fresh_name(self, also_taken: Iterable[str] = ()) -> str:
        """Return the first of t1, t2, ... that the file does not use."""
        taken = self.taken.union(also_taken)
        number = 1
        while f"t{number}" in taken:
            number += 1
        return f"t{number}"
