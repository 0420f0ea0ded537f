"""Python syntax trees for the genetic operators: operators, operands, paths.

libcst is used because it keeps every byte. Its visitors and its metadata cost milliseconds a pass.
Here a node is addressed by its path from the root, and `operands` lists the expressions in a node;
both cost microseconds.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar, cast

import libcst as cst

Path = tuple[str | int, ...]  # attribute names and positions, from the root to a node
Node = TypeVar("Node")

# How tightly expressions bind, in the order of Python's grammar.
BARE, LAMBDA, CONDITIONAL, OR, AND, NOT, COMPARE, BIT_OR = range(8)
BIT_XOR, BIT_AND, SHIFT, SUM, PRODUCT, UNARY, POWER, AWAIT, ATOM = range(8, 17)

BINARY: dict[str, tuple[type[cst.BaseBinaryOp], int]] = {
    "+": (cst.Add, SUM),
    "-": (cst.Subtract, SUM),
    "*": (cst.Multiply, PRODUCT),
    "/": (cst.Divide, PRODUCT),
    "//": (cst.FloorDivide, PRODUCT),
    "%": (cst.Modulo, PRODUCT),
    "@": (cst.MatrixMultiply, PRODUCT),
    "**": (cst.Power, POWER),
    "<<": (cst.LeftShift, SHIFT),
    ">>": (cst.RightShift, SHIFT),
    "&": (cst.BitAnd, BIT_AND),
    "^": (cst.BitXor, BIT_XOR),
    "|": (cst.BitOr, BIT_OR),
}
AUGMENTED: dict[str, type[cst.BaseAugOp]] = {
    "+": cst.AddAssign,
    "-": cst.SubtractAssign,
    "*": cst.MultiplyAssign,
    "/": cst.DivideAssign,
    "//": cst.FloorDivideAssign,
    "%": cst.ModuloAssign,
    "**": cst.PowerAssign,
    "@": cst.MatrixMultiplyAssign,
    "<<": cst.LeftShiftAssign,
    ">>": cst.RightShiftAssign,
    "&": cst.BitAndAssign,
    "^": cst.BitXorAssign,
    "|": cst.BitOrAssign,
}
COMPARISONS: dict[str, type[cst.BaseCompOp]] = {
    "<": cst.LessThan,
    "<=": cst.LessThanEqual,
    ">": cst.GreaterThan,
    ">=": cst.GreaterThanEqual,
    "==": cst.Equal,
    "!=": cst.NotEqual,
}
BOOLEAN: dict[str, type[cst.BaseBooleanOp]] = {"and": cst.And, "or": cst.Or}

_SYMBOLS: dict[type[Any], str] = {
    **{kind: symbol for symbol, (kind, _) in BINARY.items()},
    **{kind: symbol for symbol, kind in AUGMENTED.items()},
    **{kind: symbol for symbol, kind in COMPARISONS.items()},
    **{kind: symbol for symbol, kind in BOOLEAN.items()},
    cst.Minus: "-",
    cst.Plus: "+",
    cst.Not: "not ",
    cst.BitInvert: "~",
}


def symbol(operator: cst.CSTNode) -> str:
    """Return an operator's text without spaces; "" for `in`, `is` and their negations."""
    return _SYMBOLS.get(type(operator), "")


# --- where expressions stand --------------------------------------------------------------------


class Operand(NamedTuple):
    """An expression inside another node: its path, itself, and how tightly it must bind."""

    path: Path
    node: cst.BaseExpression
    floor: int


def _binary(node: cst.BinaryOperation) -> Iterator[Operand]:
    level = BINARY[symbol(node.operator)][1]
    if level == POWER:
        yield Operand(("left",), node.left, AWAIT)
        yield Operand(("right",), node.right, UNARY)
    else:
        yield Operand(("left",), node.left, level)
        yield Operand(("right",), node.right, level + 1)


def _unary(node: cst.UnaryOperation) -> Iterator[Operand]:
    floor = NOT if isinstance(node.operator, cst.Not) else UNARY
    yield Operand(("expression",), node.expression, floor)


def _boolean(node: cst.BooleanOperation) -> Iterator[Operand]:
    level = OR if isinstance(node.operator, cst.Or) else AND
    yield Operand(("left",), node.left, level)
    yield Operand(("right",), node.right, level + 1)


def _comparison(node: cst.Comparison) -> Iterator[Operand]:
    yield Operand(("left",), node.left, BIT_OR)
    for i, target in enumerate(node.comparisons):
        yield Operand(("comparisons", i, "comparator"), target.comparator, BIT_OR)


def _conditional(node: cst.IfExp) -> Iterator[Operand]:
    yield Operand(("body",), node.body, OR)
    yield Operand(("test",), node.test, OR)
    yield Operand(("orelse",), node.orelse, CONDITIONAL)


def _call(node: cst.Call) -> Iterator[Operand]:
    if not isinstance(node.func, cst.Name):
        yield Operand(("func",), node.func, ATOM)
    for i, argument in enumerate(node.args):
        yield Operand(("args", i, "value"), argument.value, BIT_OR if argument.star else LAMBDA)


def _subscript(node: cst.Subscript) -> Iterator[Operand]:
    yield Operand(("value",), node.value, ATOM)
    for i, element in enumerate(node.slice):
        part = element.slice
        if isinstance(part, cst.Index):
            yield Operand(("slice", i, "slice", "value"), part.value, LAMBDA)
        elif isinstance(part, cst.Slice):
            for name in ("lower", "upper", "step"):
                bound = getattr(part, name)
                if bound is not None:
                    yield Operand(("slice", i, "slice", name), bound, LAMBDA)


def _elements(node: cst.Tuple | cst.List | cst.Set) -> Iterator[Operand]:
    for i, element in enumerate(node.elements):
        floor = BIT_OR if isinstance(element, cst.StarredElement) else LAMBDA
        yield Operand(("elements", i, "value"), element.value, floor)


def _dictionary(node: cst.Dict) -> Iterator[Operand]:
    for i, element in enumerate(node.elements):
        if isinstance(element, cst.DictElement):
            yield Operand(("elements", i, "key"), element.key, LAMBDA)
            yield Operand(("elements", i, "value"), element.value, LAMBDA)


def _comprehension(node: cst.BaseComp) -> Iterator[Operand]:
    if isinstance(node, cst.DictComp):
        yield Operand(("key",), node.key, LAMBDA)
        yield Operand(("value",), node.value, LAMBDA)
    elif isinstance(node, cst.BaseSimpleComp):
        yield Operand(("elt",), node.elt, LAMBDA)
    path: Path = ("for_in",)
    loop: cst.CompFor | None = node.for_in
    while loop is not None:
        yield Operand((*path, "iter"), loop.iter, OR)
        for i, condition in enumerate(loop.ifs):
            yield Operand((*path, "ifs", i, "test"), condition.test, OR)
        path, loop = (*path, "inner_for_in"), loop.inner_for_in


def _assign(node: cst.Assign) -> Iterator[Operand]:
    for i, target in enumerate(node.targets):
        if isinstance(target.target, cst.Subscript):
            for operand in _subscript(target.target):
                yield operand._replace(path=("targets", i, "target", *operand.path))
    yield Operand(("value",), node.value, BARE)


def _augmented(node: cst.AugAssign) -> Iterator[Operand]:
    if isinstance(node.target, cst.Subscript):
        for operand in _subscript(node.target):
            yield operand._replace(path=("target", *operand.path))
    yield Operand(("value",), node.value, BARE)


def _line(node: cst.SimpleStatementLine) -> Iterator[Operand]:
    for i, small in enumerate(node.body):
        for path, operand, floor in operands(small):
            yield Operand(("body", i, *path), operand, floor)


def _single(name: str, floor: int) -> Callable[[Any], Iterator[Operand]]:
    def of(node: Any) -> Iterator[Operand]:
        value = getattr(node, name)
        if isinstance(value, cst.BaseExpression):
            yield Operand((name,), value, floor)

    return of


_OPERANDS: dict[type[cst.CSTNode], Callable[[Any], Iterator[Operand]]] = {
    cst.BinaryOperation: _binary,
    cst.UnaryOperation: _unary,
    cst.BooleanOperation: _boolean,
    cst.Comparison: _comparison,
    cst.IfExp: _conditional,
    cst.Call: _call,
    cst.Subscript: _subscript,
    cst.Attribute: _single("value", ATOM),
    cst.Tuple: _elements,
    cst.List: _elements,
    cst.Set: _elements,
    cst.Dict: _dictionary,
    cst.ListComp: _comprehension,
    cst.SetComp: _comprehension,
    cst.GeneratorExp: _comprehension,
    cst.DictComp: _comprehension,
    cst.Lambda: _single("body", LAMBDA),
    cst.NamedExpr: _single("value", LAMBDA),
    cst.Yield: _single("value", BARE),
    cst.SimpleStatementLine: _line,
    cst.Assign: _assign,
    cst.AnnAssign: _single("value", BARE),
    cst.AugAssign: _augmented,
    cst.Return: _single("value", BARE),
    cst.Expr: _single("value", BARE),
    cst.Assert: _single("test", LAMBDA),
    cst.If: _single("test", LAMBDA),
    cst.While: _single("test", LAMBDA),
    cst.For: _single("iter", BARE),
}


def operands(node: cst.CSTNode) -> Iterator[Operand]:
    """Yield the expressions directly under an expression or a statement, in reading order.

    Parts that an edit must not change are left out: targets, annotations, decorators, f-strings.
    """
    of = _OPERANDS.get(type(node))
    return of(node) if of is not None else iter(())


# --- paths --------------------------------------------------------------------------------------


def at(root: Any, path: Path) -> Any:
    """Return the node at a path."""
    for step in path:
        root = root[step] if isinstance(step, int) else getattr(root, step)
    return root


def replaced(root: Node, path: Path, new: object) -> Node:
    """Return a copy of the tree with `new` at `path`, which shares all other nodes."""
    if not path:
        return cast(Node, new)
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        items = list(cast(Any, root))
        items[step] = replaced(items[step], rest, new)
        return cast(Node, tuple(items))
    changed = replaced(getattr(root, step), rest, new)
    return cast(Node, dataclasses.replace(cast(Any, root), **{step: changed}))


def follows(path: Path, line: Path) -> bool:
    """Does a path lead into the statement at `line` or into one after it in the same suite?"""
    last = len(line) - 1
    return (
        len(path) >= len(line) and path[:last] == line[:last] and int(path[last]) >= int(line[last])
    )


def rewritten(
    node: Node, change: Callable[[cst.BaseExpression, int], cst.BaseExpression | None]
) -> Node:
    """Return a copy with expressions changed from the leaves upwards.

    Args:
        node: an expression, or a statement, whose suites do not change.
        change: gets an expression, its operands already rewritten, and the floor of its place;
            returns its replacement, which must fit that place, or None to keep it.
    """
    for path, operand, floor in operands(cast(cst.CSTNode, node)):
        new = rewritten(operand, change)
        new = change(new, floor) or new
        if new is not operand:
            node = replaced(node, path, new)
    return node


_SKIPPED = re.compile("whitespace|^[lr]par$|leading_lines|header|footer|colon|comma")
_FIELDS: dict[type, tuple[str, ...]] = {  # in reverse, because a stack holds them
    kind: tuple(
        field.name
        for field in reversed(dataclasses.fields(kind))
        if not _SKIPPED.search(field.name)
    )
    for kind in vars(cst).values()
    if isinstance(kind, type) and issubclass(kind, cst.CSTNode) and dataclasses.is_dataclass(kind)
}


def walk(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Yield a node and everything under it but whitespace, in reading order."""
    stack: list[Any] = [node]
    while stack:
        node = stack.pop()
        if type(node) in _FIELDS:
            yield node
            for name in _FIELDS[type(node)]:
                value = getattr(node, name)
                if type(value) in _FIELDS:
                    stack.append(value)
                elif type(value) in (list, tuple):
                    stack.extend(reversed(value))
