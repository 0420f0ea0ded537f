"""Write and read expressions: needed parentheses, literals, keys for comparison."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, cast

import libcst as cst

from evolver.operators.genetic.tree import (
    AND,
    ATOM,
    AWAIT,
    BARE,
    BINARY,
    BOOLEAN,
    COMPARE,
    CONDITIONAL,
    LAMBDA,
    NOT,
    OR,
    POWER,
    UNARY,
    at,
    operands,
    symbol,
)

_PRINTER = cst.Module([])


def code(node: cst.CSTNode) -> str:
    """Return a node's source."""
    return _PRINTER.code_for_node(node)


def brief(node: cst.CSTNode, width: int = 40) -> str:
    """Return a node on one line, cut to `width` characters, for summaries."""
    text = " ".join(code(node).split())
    return text if len(text) <= width else text[: width - 3] + "..."


_LEVELS: dict[type[cst.CSTNode], int] = {
    **dict.fromkeys((cst.Tuple, cst.GeneratorExp, cst.NamedExpr, cst.Yield), BARE),
    cst.Lambda: LAMBDA,
    cst.IfExp: CONDITIONAL,
    cst.Comparison: COMPARE,
    cst.Await: AWAIT,
}


def binding(node: cst.BaseExpression) -> int:
    """Return how tightly an expression binds without its parentheses."""
    kind = type(node)
    if kind is cst.BinaryOperation:
        return BINARY[symbol(cast(cst.BinaryOperation, node).operator)][1]
    if kind is cst.UnaryOperation:
        return NOT if type(cast(cst.UnaryOperation, node).operator) is cst.Not else UNARY
    if kind is cst.BooleanOperation:
        return OR if type(cast(cst.BooleanOperation, node).operator) is cst.Or else AND
    return _LEVELS.get(kind, ATOM)


_BRACKETED = frozenset(
    (
        *(cst.Tuple, cst.List, cst.Set, cst.Dict, cst.ListComp, cst.SetComp, cst.DictComp),
        *(cst.GeneratorExp, cst.Name, cst.Integer, cst.Float),
    )
)
_SPACES: dict[type, tuple[str, ...]] = {
    kind: tuple(
        field.name for field in dataclasses.fields(kind) if field.name.startswith("whitespace")
    )
    for kind in vars(cst).values()
    if isinstance(kind, type) and issubclass(kind, cst.CSTNode) and dataclasses.is_dataclass(kind)
}


def _is_broken(node: cst.BaseExpression) -> bool:
    """Does it hold a line break outside its brackets and parentheses?"""
    kind: type[cst.CSTNode] = type(node)
    if kind in _BRACKETED:
        return False
    if kind in (cst.Call, cst.Subscript):
        inner: cst.BaseExpression = at(node, ("func",) if kind is cst.Call else ("value",))
        return not inner.lpar and _is_broken(inner)
    parts = [node, getattr(node, "operator", None), getattr(node, "dot", None)]
    for target in getattr(node, "comparisons", ()):
        parts += [target, target.operator]
    for part in parts:
        for name in _SPACES.get(type(part), ()):
            if type(getattr(part, name)) is cst.ParenthesizedWhitespace:
                return True
    return any(not each.node.lpar and _is_broken(each.node) for each in operands(node))


def placed(node: cst.BaseExpression, floor: int) -> cst.BaseExpression:
    """Return an expression with parentheses where a place of this floor needs them."""
    level = binding(node)
    wanted = level < floor or level == BARE
    if level < ATOM and not wanted and _is_broken(node):
        wanted = True
    if bool(node.lpar) == wanted:
        return node
    if wanted:
        return node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return node.with_changes(lpar=[], rpar=[])


def join(left: cst.BaseExpression, operator: str, right: cst.BaseExpression) -> cst.BinaryOperation:
    """Return `left operator right`, with the parentheses that it needs."""
    kind, level = BINARY[operator]
    floors = (AWAIT, UNARY) if level == POWER else (level, level + 1)
    return cst.BinaryOperation(placed(left, floors[0]), kind(), placed(right, floors[1]))


def boolean(
    left: cst.BaseExpression, operator: str, right: cst.BaseExpression
) -> cst.BooleanOperation:
    """Return `left and right` or `left or right`, with the parentheses that it needs."""
    level = OR if operator == "or" else AND
    return cst.BooleanOperation(placed(left, level), BOOLEAN[operator](), placed(right, level + 1))


def literal(value: float | bool) -> cst.BaseExpression:
    """Return the literal of a finite number or a truth value."""
    if isinstance(value, bool):
        return cst.Name(str(value))
    if value < 0 or (value == 0 and math.copysign(1, value) < 0):
        return cst.UnaryOperation(cst.Minus(), literal(-value))
    return cst.Integer(str(value)) if isinstance(value, int) else cst.Float(repr(float(value)))


def number(node: cst.CSTNode) -> float | int | None:
    """Return the value of a numeric literal, its minus sign included, or None."""
    kind = type(node)  # isinstance is ten times slower on the abstract classes of libcst
    if kind is cst.Float:
        return float(cast(cst.Float, node).value)
    if kind is cst.Integer:
        return int(cast(cst.Integer, node).value, 0)
    if kind is cst.UnaryOperation:
        operation = cast(cst.UnaryOperation, node)
        inner = operation.expression
        if type(operation.operator) is cst.Minus and type(inner) in (cst.Float, cst.Integer):
            value = number(inner)
            return None if value is None else -value
    return None


def key(node: cst.CSTNode) -> str:
    """Return a text that is equal for expressions that differ in layout only."""
    write = _KEYS.get(type(node))
    return write(node) if write is not None else " ".join(code(node).split())


def _call_key(node: cst.Call) -> str:
    if any(argument.star or argument.keyword for argument in node.args):
        return " ".join(code(node).split())
    return f"{key(node.func)}({','.join(key(argument.value) for argument in node.args)})"


_KEYS: dict[type[cst.CSTNode], Callable[[Any], str]] = {
    **dict.fromkeys((cst.Name, cst.Integer, cst.Float), lambda node: str(node.value)),
    cst.BinaryOperation: lambda node: f"({key(node.left)}{symbol(node.operator)}{key(node.right)})",
    cst.UnaryOperation: lambda node: f"({symbol(node.operator)}{key(node.expression)})",
    cst.Attribute: lambda node: f"{key(node.value)}.{node.attr.value}",
    cst.Call: _call_key,
}
