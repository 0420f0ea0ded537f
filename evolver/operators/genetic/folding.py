"""Algebra on single expressions: literals folded, neutral operations dropped, signs outside."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import libcst as cst

from evolver.operators.genetic.grammar import Grammar
from evolver.operators.genetic.tree import join, key, literal, number, placed, replaced, symbol

_FOLD: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
}
_OPPOSITE = {"+": "-", "-": "+"}
_LARGEST_INTEGER = 2**63


class _Part(NamedTuple):
    """`value operator rest`, read off an operation with one literal."""

    value: float
    operator: str
    rest: cst.BaseExpression


def folder(
    grammar: Grammar, merge: bool
) -> Callable[[cst.BaseExpression, int], cst.BaseExpression | None]:
    """Return the change for `tree.rewritten` that simplifies expressions.

    Args:
        grammar: says which operators may be written and what may be dropped.
        merge: join the literals of `a * c1 * c2` and the like into one? The value then changes in
            its last bits, which is wanted where a tuner would fit both.
    """

    def change(node: cst.BaseExpression, floor: int) -> cst.BaseExpression | None:
        new = _simpler(node, grammar, merge)
        if new is None:
            return None
        while new is not None:
            node, new = new, _simpler(new, grammar, merge)
        return placed(node, floor)

    return change


def _simpler(node: cst.BaseExpression, grammar: Grammar, merge: bool) -> cst.BaseExpression | None:
    """Return a simpler expression of the same value, or None; operands are simple already."""
    match node:
        case cst.UnaryOperation(
            operator=cst.Minus(),
            expression=cst.UnaryOperation(operator=cst.Minus(), expression=inner),
        ):
            return inner
    if not isinstance(node, cst.BinaryOperation):
        return None
    operator, left, right = symbol(node.operator), number(node.left), number(node.right)
    if left is not None and right is not None:
        return _folded(left, operator, right)
    simpler = _without_neutral(node, operator, left, right) or _with_sign_outside(node, grammar)
    if simpler is not None or not merge:
        return simpler
    if left is not None or right is not None:
        return _merged(node)
    if operator in ("-", "/") and key(node.left) == key(node.right) and grammar.is_pure(node.left):
        return literal(0.0 if operator == "-" else 1.0)
    return None


def _folded(left: float, operator: str, right: float) -> cst.BaseExpression | None:
    if operator not in _FOLD:
        return None
    try:
        value = _FOLD[operator](left, right)
    except (ZeroDivisionError, OverflowError):
        return None
    if isinstance(value, int):
        return literal(value) if abs(value) < _LARGEST_INTEGER else None
    return literal(value) if math.isfinite(value) else None


def _without_neutral(
    node: cst.BinaryOperation, operator: str, left: float | None, right: float | None
) -> cst.BaseExpression | None:
    if (operator in ("+", "-") and right == 0) or (operator in ("*", "/", "**") and right == 1):
        return node.left
    if (operator == "+" and left == 0) or (operator == "*" and left == 1):
        return node.right
    return None


def _with_sign_outside(node: cst.BinaryOperation, grammar: Grammar) -> cst.BaseExpression | None:
    """Write `a + -c`, `a - -c` and `a + -c / b` with the other sign."""
    operator = symbol(node.operator)
    other = _OPPOSITE.get(operator)
    if other is None or other not in grammar.binary:
        return None
    value = number(node.right)
    if value is not None and value < 0:
        return join(node.left, other, literal(-value))
    right = node.right
    if isinstance(right, cst.BinaryOperation) and symbol(right.operator) in ("*", "/"):
        value = number(right.left)
        if value is not None and value < 0:
            return join(node.left, other, replaced(right, ("left",), literal(-value)))
    return None


# --- two literals into one ----------------------------------------------------------------------


def _merged(node: cst.BinaryOperation) -> cst.BaseExpression | None:
    for split, build in ((_sum, _as_sum), (_product, _as_product)):
        outer = split(node)
        inner = split(outer.rest) if outer is not None else None
        if outer is not None and inner is not None:
            return build(outer, inner)
    return None


def _sum(node: cst.BaseExpression) -> _Part | None:
    """Read `value + rest` or `value - rest` off a sum with one literal."""
    if not isinstance(node, cst.BinaryOperation):
        return None
    left, right = number(node.left), number(node.right)
    if isinstance(node.operator, cst.Add) and left is not None:
        return _Part(left, "+", node.right)
    if isinstance(node.operator, cst.Add) and right is not None:
        return _Part(right, "+", node.left)
    if isinstance(node.operator, cst.Subtract) and left is not None:
        return _Part(left, "-", node.right)
    if isinstance(node.operator, cst.Subtract) and right is not None:
        return _Part(-right, "+", node.left)
    return None


def _as_sum(outer: _Part, inner: _Part) -> cst.BaseExpression | None:
    value = outer.value + inner.value if outer.operator == "+" else outer.value - inner.value
    if not math.isfinite(value):
        return None
    if outer.operator != inner.operator:
        return join(literal(value), "-", inner.rest)
    return join(inner.rest, "-" if value < 0 else "+", literal(abs(value)))


def _product(node: cst.BaseExpression) -> _Part | None:
    """Read `value * rest` or `value / rest` off a product with one literal."""
    if not isinstance(node, cst.BinaryOperation):
        return None
    left, right = number(node.left), number(node.right)
    if isinstance(node.operator, cst.Multiply) and left is not None:
        return _Part(left, "*", node.right)
    if isinstance(node.operator, cst.Multiply) and right is not None:
        return _Part(right, "*", node.left)
    if isinstance(node.operator, cst.Divide) and left is not None:
        return _Part(left, "/", node.right)
    if isinstance(node.operator, cst.Divide) and right:
        return _Part(1 / right, "*", node.left)
    return None


def _as_product(outer: _Part, inner: _Part) -> cst.BaseExpression | None:
    if outer.operator == "*":
        value, operator = outer.value * inner.value, inner.operator
    elif inner.value == 0:
        return None
    else:
        value, operator = outer.value / inner.value, "/" if inner.operator == "*" else "*"
    if not math.isfinite(value):
        return None
    if operator == "/":
        return join(literal(value), "/", inner.rest)
    return join(inner.rest, "*", literal(value))
