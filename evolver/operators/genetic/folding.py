"""Algebra on single expressions: fold literals, drop neutral operations, move signs outside."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import libcst as cst

from evolver.operators.genetic.algebra import normal
from evolver.operators.genetic.grammar import Grammar
from evolver.operators.genetic.kinds import INTEGER, NUMBER, REAL
from evolver.operators.genetic.library import of_math
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
    grammar: Grammar, kinds: Mapping[str, int], merge: bool
) -> Callable[[cst.BaseExpression, int], cst.BaseExpression | None]:
    """Return the change for `tree.rewritten` that simplifies expressions.

    Args:
        grammar: which operators may be written, and which expressions may be dropped.
        kinds: of the names; only expressions that are surely floats get the normal form.
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
    node: cst.BaseExpression, grammar: Grammar, kinds: Mapping[str, int], merge: bool
) -> cst.BaseExpression | None:
    """Return a simpler expression of the same value, or None; operands are simplified already."""
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
    if simpler is not None or not merge or kind_of(node, kinds) != REAL:
        return simpler
    if operator in ("-", "/") and key(node.left) == key(node.right) and grammar.is_pure(node.left):
        return literal(0.0 if operator == "-" else 1.0)
    return normal(node) if _FIELD.issubset(grammar.binary) else None


def kind_of(node: cst.CSTNode, kinds: Mapping[str, int]) -> int:
    """Return the kind of an expression of numbers, given the kinds of its names."""
    match node:
        case cst.Name(value=name):
            return kinds.get(name, 0)
        case cst.Float():
            return REAL
        case cst.Integer():
            return INTEGER
        case cst.UnaryOperation():
            return kind_of(node.expression, kinds) & NUMBER
        case cst.BinaryOperation():
            sides = (kind_of(node.left, kinds), kind_of(node.right, kinds))
            if not all(side & NUMBER or not side for side in sides):
                return 0
            if REAL in sides or isinstance(node.operator, cst.Divide):
                return REAL
            return INTEGER if sides == (INTEGER, INTEGER) else NUMBER
        case cst.Call(func=cst.Attribute(value=cst.Name(value="math"), attr=cst.Name(value=name))):
            return of_math(name)
    return 0


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
