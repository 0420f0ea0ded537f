"""Elements and attributes that an edit may read: `weights[i]`, `item[1]`, `job.length`."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import libcst as cst

from evolver.operators.genetic.kinds import INTEGER, NUMBER, SEQUENCE, Names, Type, alike
from evolver.operators.genetic.survey import SAFE, Site, Survey
from evolver.operators.genetic.syntax import (
    constant_index,
    is_computed,
    may_be_skipped,
    names_bound,
    names_in,
)
from evolver.operators.genetic.tree import Path, at, follows, replaced, rewritten, walk
from evolver.operators.genetic.writing import key, literal


def readable(survey: Survey, site: Site, kind: int, rng: Random) -> list[cst.BaseExpression]:
    """Return the elements and attributes of a kind that can be read at a site.

    These are the program's own reads, also with another variable of the same type, and with another
    constant index where elements differ: where it reads `item[0]` and unpacks `value, weight =
    item`, `item[1]` can be read. Elements that were not read before are rare, see `is_there`.
    """
    found: dict[str, cst.BaseExpression] = {}
    is_bold = rng.random() >= SAFE
    for other in survey.sites:
        if not isinstance(other.node, cst.Subscript | cst.Attribute) and not _is_length(other):
            continue
        for node, own in _variants(other):
            is_wanted = own.kind & NUMBER if kind & ~INTEGER else own.kind == INTEGER
            new = _renamed(node, other.names, site.names) if is_wanted else None
            if new is not None and (is_bold or is_there(survey, site, new)):
                found.setdefault(key(new), new)
    return list(found.values())


def is_there(survey: Survey, site: Site, new: cst.CSTNode) -> bool:
    """Do the elements that an expression reads surely exist where it stands at a site?

    An element with a computed index does where the program reads it before, or at the site itself.
    Elsewhere a condition may keep the index within its bounds.
    """
    return all(
        any(_comes_first(survey, other, site) for other in survey.reads.get(key(part), ()))
        for part in walk(new)
        if isinstance(part, cst.Subscript) and is_computed(part)
        if not site.names.keys().isdisjoint(names_in(part.slice[0]))
    )


def _comes_first(survey: Survey, other: Site, site: Site) -> bool:
    """Was an element read on every way to a site, by an index that has not changed since?"""
    if other.path[: len(site.path)] == site.path:
        return not _may_be_skipped(site.node, other.path[len(site.path) :])
    if site.path[: len(other.path)] == other.path:
        return True
    if other.line is None:  # in the same lambda or comprehension
        return site.line is None and other.names is site.names
    if not follows(site.path, other.line):
        return False
    read = set(names_in(other.node))
    return not any(
        other.line <= line.path < site.path[: len(line.path)] and read & set(names_bound(line.node))
        for line in survey.lines
    )


def _may_be_skipped(node: Any, path: Path) -> bool:
    """May the node be evaluated without the expression at the path?"""
    for step in path:
        if isinstance(step, str) and may_be_skipped(node, (step,)):
            return True
        node = at(node, (step,))
    return False


def _is_length(site: Site) -> bool:
    match site.node:
        case cst.Call(func=cst.Name(value="len"), args=[cst.Arg(value=cst.Name())]):
            return True
    return False


def _variants(site: Site) -> Iterator[tuple[cst.BaseExpression, Type]]:
    """Yield an expression, and the same with other constant indices."""
    node = site.node
    yield node, site.type
    index = constant_index(node)
    if not isinstance(node, cst.Subscript) or index is None:
        return
    container = _type_of(node.value, site.names)
    if container is None:
        return
    for each, own in container.root.parts.items():
        if each != index:
            new = literal(each) if isinstance(each, int) else cst.SimpleString(repr(each))
            yield replaced(node, ("slice", 0, "slice", "value"), new), own


def _type_of(node: cst.BaseExpression, names: Names) -> Type | None:
    match node:
        case cst.Name(value=name):
            return names.get(name)
        case cst.Subscript(value=value):
            container = _type_of(value, names)
            index = constant_index(node)
            if container is None or container.kind != SEQUENCE:
                return None
            own = container.root
            return own.element if index is None else own.parts.get(index, own.element)
    return None


def _renamed(node: cst.BaseExpression, before: Names, names: Names) -> cst.BaseExpression | None:
    """Return an expression in the names of another site; None where they do not fit."""
    changed: dict[str, str] = {}
    for part in walk(node):
        if isinstance(part, cst.Lambda) or (isinstance(part, cst.Call) and part is not node):
            return None
        if isinstance(part, cst.Name) and part.value in before:
            new = _counterpart(part.value, before[part.value], names)
            if new is None:
                return None
            changed[part.value] = new

    def rename(part: cst.BaseExpression, floor: int) -> cst.BaseExpression | None:
        new = changed.get(part.value) if isinstance(part, cst.Name) else None
        return None if new is None else cst.Name(new)

    return rename(node, 0) or rewritten(node, rename)


def _counterpart(name: str, own: Type, names: Names) -> str | None:
    """Return the same variable, else one of the same type."""
    if name in names and names[name].root is own.root:
        return name
    same = [each for each, its in names.items() if its.root is own.root]
    if own.kind & NUMBER:  # another number is another index
        others = [name] if name in names and names[name].kind == own.kind else []
    else:
        others = [each for each, its in names.items() if own.kind and alike(its, own)]
    return next(iter((*same, *others)), None)
