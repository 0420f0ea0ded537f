"""A child under construction: one fragment, its survey, and helpers for its edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import libcst as cst

from evolver.operators.genetic.fragment import Fragment
from evolver.operators.genetic.grammar import Grammar
from evolver.operators.genetic.kinds import INTEGER, NUMBER, OTHER, SEQUENCE, Type, alike
from evolver.operators.genetic.survey import Line, Site, Survey
from evolver.operators.genetic.tree import Path, at, replaced, walk
from evolver.operators.genetic.writing import number, placed

_DECIDING = 1.5  # additional weight of a site that decides something
_FEW = 3.0  # total weight of sites at which an edit gives way half of the time


class Change(NamedTuple):
    """What an edit returns: the new tree, and a summary."""

    module: cst.Module
    summary: str


@dataclass(frozen=True)
class Draft:
    """What an edit gets. The edit returns a `Change`, or None where it finds nothing to do.

    Attributes:
        is_bold: may the edit be one that often makes a program raise or never end?
    """

    fragment: Fragment
    survey: Survey
    grammar: Grammar
    rng: Random
    is_bold: bool

    @property
    def module(self) -> cst.Module:
        """The tree to edit."""
        return self.fragment.module

    def numeric(self) -> list[Site]:
        """Return the sites of numbers; where there are none, those of unknown types."""
        known = [site for site in self.survey.sites if site.wants & site.kind & NUMBER]
        return known or [site for site in self.survey.sites if not site.kind]

    def pick(self, sites: Sequence[Site]) -> Site | None:
        """Choose a site; one that decides something more often, a risky one in a bold child only.

        Where there are few sites, often choose none, so that another edit has its turn. Otherwise
        they would give the same child again and again.
        """
        if not self.is_bold:
            sites = [site for site in sites if not site.is_risky]
        if not sites:
            return None
        weights = [1.0 + _DECIDING * site.decides for site in sites]
        if self.rng.random() * (sum(weights) + _FEW) > sum(weights):
            return None
        return self.rng.choices(sites, weights)[0]

    def put(self, site: Site, new: cst.BaseExpression) -> cst.Module:
        """Return the tree with another expression at a site."""
        return replaced(self.module, site.path, placed(new, site.floor))

    def can_extract(self, site: Site) -> bool:
        """Can a statement above compute the expression?"""
        return (
            site.line is not None
            and site.kind != SEQUENCE
            and number(site.node) is None
            and self.grammar.is_pure(site.node)
        )

    def parents(self) -> dict[Path, Site]:
        """Return the site directly above each site that has one, by the lower one's path."""
        by_path = {site.path: site for site in self.survey.sites}
        found = {}
        for path in by_path:
            for cut in range(1, 5):
                above = by_path.get(path[:-cut])
                if above is not None:
                    found[path] = above
                    break
        return found


def accepts(site: Site, kind: int, own: Type | None = None) -> bool:
    """May a value of this kind and type stand at a site?"""
    if site.wants == OTHER:
        return False
    if site.wants & NUMBER:
        return bool(kind & NUMBER) and (site.wants != INTEGER or kind == INTEGER)
    return bool(kind) and kind == site.kind and (own is None or alike(own, site.type))


def overlap(one: Path, other: Path) -> bool:
    """Is one path a prefix of the other?"""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def loads(node: cst.CSTNode) -> list[str]:
    """Return the names in an expression or statement, each once, stored ones included."""
    skipped = {id(part.attr) for part in walk(node) if isinstance(part, cst.Attribute)}
    return list(
        dict.fromkeys(
            part.value
            for part in walk(node)
            if isinstance(part, cst.Name) and id(part) not in skipped
        )
    )


_TARGETS = {
    **dict.fromkeys((cst.AssignTarget, cst.AugAssign, cst.AnnAssign, cst.For), "target"),
    **dict.fromkeys((cst.NamedExpr, cst.CompFor), "target"),
    **dict.fromkeys((cst.FunctionDef, cst.ClassDef, cst.AsName), "name"),
}


def stored(line: cst.CSTNode) -> list[str]:
    """Return the names that a statement binds, or whose elements it assigns."""
    found: dict[str, None] = {}
    for node in walk(line):
        attribute = _TARGETS.get(type(node))
        if attribute is not None:
            found.update(dict.fromkeys(loads(getattr(node, attribute))))
    return list(found)


def assignment(name: str, value: cst.BaseExpression) -> cst.SimpleStatementLine:
    """Return the statement `name = value`."""
    target = cst.AssignTarget(cst.Name(name))
    return cst.SimpleStatementLine([cst.Assign([target], placed(value, 0))])


def assigned(node: cst.CSTNode) -> tuple[str, cst.BaseExpression] | None:
    """Return the name and the value of a line `name = value`; None for other lines."""
    if type(node) is not cst.SimpleStatementLine:
        return None
    match node:
        case cst.SimpleStatementLine(
            body=[cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))], value=value)]
        ):
            return name, value
    return None


def insert_lines(module: cst.Module, line: Path, new: Sequence[cst.BaseStatement]) -> cst.Module:
    """Return the tree with statements inserted before the one at `line`."""
    suite, position = line[:-2], int(line[-1])
    body = list(at(module, suite).body)
    body[position:position] = new
    return replaced(module, (*suite, "body"), body)


def replace_line(module: cst.Module, line: Path, new: Sequence[Any]) -> cst.Module:
    """Return the tree with the statement at `line` replaced by others, or deleted.

    Comments above it go with it.
    """
    suite, position = line[:-2], int(line[-1])
    body = list(at(module, suite).body)
    statements = list(new)
    if not statements and len(body) == 1 and suite:
        statements = [cst.SimpleStatementLine([cst.Pass()])]
    body[position : position + 1] = statements
    return replaced(module, (*suite, "body"), body)


def is_movable(line: Line) -> bool:
    """Can the statement be deleted or repeated without breaking the program's syntax?"""
    match line.node:
        case cst.SimpleStatementLine(body=[small]):
            return isinstance(small, cst.Assign | cst.AugAssign | cst.Expr) and not (
                isinstance(small, cst.Expr) and not isinstance(small.value, cst.Call)
            )
        case cst.If() | cst.For() | cst.While():
            return bool(line.function)
    return False
