"""Algebra on single expressions: literals folded, neutral operations dropped, signs outside."""

from __future__ import annotations

import math
from collections.abc import Callable

import libcst as cst

from evolver.operators.genetic.algebra import normal
from evolver.operators.genetic.grammar import Grammar
from evolver.operators.genetic.kinds import REAL, Kinds
from evolver.operators.genetic.tree import replaced, symbol
from evolver.operators.genetic.writing import join, key, literal, number, placed

_FOLD: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
}
_FIELD = frozenset("+-*/")
_OPPOSITE = {"+": "-", "-": "+"}
_LARGEST_INTEGER = 2**63


def folder(
    grammar: Grammar, kinds: Kinds, merge: bool
) -> Callable[[cst.BaseExpression, int], cst.BaseExpression | None]:
    """Return the change for `tree.rewritten` that simplifies expressions.

    Args:
        grammar: says which operators may be written and what may be dropped.
        kinds: of the names; only what is surely a float is brought into the normal form.
        merge: bring expressions into the normal form of `algebra.normal`? Their values then change
            in the last bits, which does not matter where a tuner fits the literals.
    """

    def change(node: cst.BaseExpression, floor: int) -> cst.BaseExpression | None:
        new = _simpler(node, grammar, kinds, merge)
        if new is None:
            return None
        while new is not None:
            node, new = new, _simpler(new, grammar, kinds, merge)
        return placed(node, floor)

    return change


def _simpler(
    node: cst.BaseExpression, grammar: Grammar, kinds: Kinds, merge: bool
) -> cst.BaseExpression | None:
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
    if simpler is not None or not merge or kinds.of(node) != REAL:
        return simpler
    if operator in ("-", "/") and key(node.left) == key(node.right) and grammar.is_pure(node.left):
        return literal(0.0 if operator == "-" else 1.0)
    return normal(node) if _FIELD.issubset(grammar.binary) else None


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
