"""What Python's syntax tells about a node: which names it binds, which parts may not run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import libcst as cst

from evolver.operators.genetic.kinds import Index
from evolver.operators.genetic.tree import Operand, Path, at, operands, walk
from evolver.operators.genetic.writing import number


def in_order(node: cst.CSTNode) -> list[Operand]:
    """Return the operands in the order of evaluation: the loops of a comprehension first."""
    found = list(operands(node))
    if isinstance(node, cst.BaseComp):
        found.sort(key=lambda each: each.path[0] != "for_in")
    return found


def names_in(node: cst.CSTNode) -> Iterator[str]:
    """Yield the names under a node, those of attributes too."""
    return (part.value for part in walk(node) if isinstance(part, cst.Name))


def names_changed(node: cst.CSTNode) -> Iterator[str]:
    """Yield the names that a statement assigns or whose elements or methods may change."""
    for part in walk(node):
        if type(part) in (cst.AugAssign, cst.AssignTarget):
            yield from names_in(at(part, ("target",)))
        elif type(part) is cst.Call and type(at(part, ("func",))) is cst.Attribute:
            yield from names_in(at(part, ("func", "value")))


def names_bound(node: cst.CSTNode) -> Iterator[str]:
    """Yield the variables that a statement binds in its own scope, with repetitions."""
    for part in walk(node):
        if type(part) in (cst.AugAssign, cst.AssignTarget, cst.AnnAssign, cst.For, cst.NamedExpr):
            yield from _names_of_target(at(part, ("target",)))


def _names_of_target(target: cst.CSTNode) -> Iterator[str]:
    match target:
        case cst.Name(value=name):
            yield name
        case cst.Tuple() | cst.List():
            for element in target.elements:
                yield from _names_of_target(element.value)


def leaves_loop(node: cst.CSTNode) -> bool:
    """Does a statement `break` or `continue` a loop around it?"""
    if isinstance(node, cst.For | cst.While):
        return node.orelse is not None and leaves_loop(node.orelse)
    if isinstance(node, cst.Break | cst.Continue):
        return True
    return any(leaves_loop(each) for each in node.children)


def leaves_function(node: cst.CSTNode) -> bool:
    """Does a statement return?"""
    return any(isinstance(part, cst.Return | cst.Yield) for part in walk(node))


def is_slice(node: cst.Subscript) -> bool:
    """Is it `a[i:j]`, or has it such an index among others?"""
    return any(isinstance(each.slice, cst.Slice) for each in node.slice)


def never_goes_on(body: cst.CSTNode) -> bool:
    """Does a suite never reach the statement after it?"""
    match body:
        case cst.IndentedBlock(body=[*_, cst.SimpleStatementLine(body=[*_, small])]):
            return isinstance(small, cst.Return | cst.Raise | cst.Continue | cst.Break)
    return False


def suites(node: cst.CSTNode) -> Iterable[tuple[Path, cst.CSTNode]]:
    """Yield the suites of a `try` or a `match` with their paths."""
    if isinstance(node, cst.Match):
        paths: list[Path] = [("cases", i, "body") for i in range(len(node.cases))]
    elif isinstance(node, cst.Try | cst.TryStar):
        paths = [("body",), *(("handlers", i, "body") for i in range(len(node.handlers)))]
        paths += [(name, "body") for name in ("orelse", "finalbody") if at(node, (name,))]
    else:
        paths = []
    for path in paths:
        yield path, at(node, path)


def may_be_skipped(parent: cst.CSTNode, step: Path) -> bool:
    """May the operand not be evaluated when its parent is?"""
    if type(parent) is cst.BooleanOperation:
        return step == ("right",)
    return type(parent) is cst.IfExp and step != ("test",)


_NEVER_EDITED = frozenset(
    (
        *(cst.Tuple, cst.GeneratorExp, cst.NamedExpr, cst.Yield, cst.Await, cst.Ellipsis),
        *(cst.SimpleString, cst.ConcatenatedString, cst.FormattedString),
    )
)
OPEN_SCOPES = frozenset((cst.Lambda, cst.ListComp, cst.SetComp, cst.DictComp, cst.GeneratorExp))


def is_editable(node: cst.BaseExpression) -> bool:
    """May an edit replace it?"""
    if type(node) is cst.Name:
        return node.value not in ("None", "self", "cls")
    return type(node) not in _NEVER_EDITED


def bound_inside(node: cst.CSTNode) -> list[str]:
    """Return the names that a lambda or a comprehension binds inside it."""
    if isinstance(node, cst.Lambda):
        return [parameter.name.value for parameter in node.params.params]
    found: list[str] = []
    loop: cst.CompFor | None = node.for_in if isinstance(node, cst.BaseComp) else None
    while loop is not None:
        elements = loop.target.elements if isinstance(loop.target, cst.Tuple) else ()
        for each in (loop.target, *(element.value for element in elements)):
            if isinstance(each, cst.Name):
                found.append(each.value)
        loop = loop.inner_for_in
    return found


def name_of(node: cst.BaseExpression) -> str:
    """Return a dotted name; "" for other expressions."""
    match node:
        case cst.Name(value=name):
            return name
        case cst.Attribute(value=value, attr=cst.Name(value=name)):
            return f"{name_of(value)}.{name}"
    return ""


def is_computed(node: cst.CSTNode) -> bool:
    """Is it an element with a computed index, which may be out of range?"""
    match node:
        case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=index))]):
            return number(index) is None and not isinstance(index, cst.SimpleString)
    return False


def constant_index(node: cst.CSTNode) -> Index | None:
    """Return the constant index of a container, or None."""
    match node:
        case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=index))]):
            value = number(index)
            if isinstance(value, int) and value >= 0:
                return value
            if isinstance(index, cst.SimpleString):
                return index.value[1:-1]
    return None
