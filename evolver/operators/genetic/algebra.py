"""A normal form of rational expressions with free literals.

Where a tuner fits the literals, `(x + 2.0) * 3.0` and `x * 3.0 + 6.0` are the same structure, and
`1.0 / (x * 2.0 + 3.0)` has one literal and one operation too many. Measured on one evolution of
2**x, 1765 children each: 1274 structures that differ in more than such forms without it, 1370
with it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import libcst as cst

from evolver.operators.genetic.tree import symbol
from evolver.operators.genetic.writing import join, key, literal, number

_DIGITS = re.compile(r"(?<![\w.])\d[\d.]*(?:e[+-]?\d+)?")


class _Sum(NamedTuple):
    """`value + the added terms - the subtracted ones`."""

    value: float
    added: Sequence[cst.BaseExpression]
    subtracted: Sequence[cst.BaseExpression]


class _Product(NamedTuple):
    """`value * the factors / the divisors`."""

    value: float
    factors: Sequence[cst.BaseExpression]
    divisors: Sequence[cst.BaseExpression]


def normal(node: cst.BinaryOperation) -> cst.BaseExpression | None:
    """Return the normal form of an operation on operands in normal form, or None if it has it.

    It collects the literals of sums and products, multiplies out a product of a literal and a sum
    that holds one, cancels a common literal of a quotient, and sorts commutative operands in an
    order that does not depend on the values of literals.
    """
    operator = symbol(node.operator)
    if operator in ("+", "-"):
        new = _of_sum(_sum(node))
    elif operator in ("*", "/"):
        new = _spread(node) or _of_product(_product(node))
    else:
        return None
    return None if new is None or key(new) == key(node) else new


def shape(node: cst.CSTNode) -> str:
    """Return a text that is equal for expressions that differ in layout or literals only."""
    return _DIGITS.sub("0", key(node))


def _order(node: cst.BaseExpression) -> tuple[bool, str]:
    """Return the key for sorting operands: literals last, whatever their values."""
    return number(node) is not None, shape(node)


def _joined(terms: Sequence[cst.BaseExpression], operator: str) -> cst.BaseExpression:
    """Join terms by a commutative operator."""
    first, *rest = sorted(terms, key=_order)
    for term in rest:
        first = join(first, operator, term)
    return first


def _value(node: cst.BaseExpression) -> float | None:
    """Return the value of a float literal; integers are structure."""
    value = number(node)
    return value if isinstance(value, float) else None


# --- sums ---------------------------------------------------------------------------------------


def _part(node: cst.BaseExpression) -> _Sum:
    """Read an operand of a sum: its literal, if it has one, apart from the rest."""
    value = _value(node)
    if value is not None:
        return _Sum(value, (), ())
    if isinstance(node, cst.BinaryOperation) and symbol(node.operator) in ("+", "-"):
        is_sum = symbol(node.operator) == "+"
        left, right = _value(node.left), _value(node.right)
        if right is not None:
            return _Sum(right if is_sum else -right, (node.left,), ())
        if left is not None:
            return _Sum(left, (node.right,), ()) if is_sum else _Sum(left, (), (node.right,))
    return _Sum(0.0, (node,), ())


def _sum(node: cst.BinaryOperation) -> _Sum:
    left, right = _part(node.left), _part(node.right)
    if symbol(node.operator) == "-":
        right = _Sum(-right.value, right.subtracted, right.added)
    return _Sum(
        left.value + right.value,
        (*left.added, *right.added),
        (*left.subtracted, *right.subtracted),
    )


def _of_sum(total: _Sum) -> cst.BaseExpression | None:
    if not math.isfinite(total.value):
        return None
    if not total.added:
        if not total.subtracted:
            return literal(total.value)
        return join(literal(total.value), "-", _joined(total.subtracted, "+"))
    node = _joined(total.added, "+")
    if total.subtracted:
        node = join(node, "-", _joined(total.subtracted, "+"))
    if total.value == 0:
        return node
    return join(node, "-" if total.value < 0 else "+", literal(abs(total.value)))


# --- products -----------------------------------------------------------------------------------


def _factor(node: cst.BaseExpression) -> _Product:
    """Read an operand of a product: its literal, if it has one, apart from the rest."""
    value = _value(node)
    if value is not None:
        return _Product(value, (), ())
    if isinstance(node, cst.BinaryOperation) and symbol(node.operator) in ("*", "/"):
        left, right = _value(node.left), _value(node.right)
        if symbol(node.operator) == "*":
            if right is not None:
                return _Product(right, (node.left,), ())
            if left is not None:
                return _Product(left, (node.right,), ())
        elif left is not None:
            return _Product(left, (), (node.right,))
        elif right:
            return _Product(1 / right, (node.left,), ())
    return _Product(1.0, (node,), ())


def _product(node: cst.BinaryOperation) -> _Product | None:
    left, right = _factor(node.left), _factor(node.right)
    if symbol(node.operator) == "/":
        if right.value == 0:
            return None
        right = _Product(1 / right.value, right.divisors, right.factors)
    return _Product(
        left.value * right.value,
        (*left.factors, *right.factors),
        (*left.divisors, *right.divisors),
    )


def _of_product(total: _Product | None) -> cst.BaseExpression | None:
    if total is None or not math.isfinite(total.value):
        return None
    value = total.value
    node: cst.BaseExpression
    if total.divisors:
        divisor = _joined(total.divisors, "*")
        if not total.factors:
            return _free_of_literal(value, divisor) or join(literal(value), "/", divisor)
        node = join(_joined(total.factors, "*"), "/", divisor)
    elif total.factors:
        node = _joined(total.factors, "*")
    else:
        return literal(value)
    return node if value == 1 else join(node, "*", literal(value))


def _free_of_literal(value: float, divisor: cst.BaseExpression) -> cst.BaseExpression | None:
    """Write `value / (e * c + d)` as `(value / c) / (e + d / c)`, one operation less."""
    if not isinstance(divisor, cst.BinaryOperation) or symbol(divisor.operator) not in ("+", "-"):
        return None
    total = _part(divisor)
    if total.value == 0:
        return None
    inner = _factor((*total.added, *total.subtracted)[0])
    scale = -inner.value if total.subtracted else inner.value
    if scale in (0, 1) or not math.isfinite(value / scale + total.value / scale):
        return None
    rest = _of_product(_Product(1.0, inner.factors, inner.divisors))
    if rest is None or inner.divisors:
        return None
    shifted = _of_sum(_Sum(total.value / scale, (rest,), ()))
    return None if shifted is None else join(literal(value / scale), "/", shifted)


def _spread(node: cst.BinaryOperation) -> cst.BaseExpression | None:
    """Write `(e + c) * d` as `e * d + c * d`."""
    for one, other in ((node.left, node.right), (node.right, node.left)):
        scale = _value(other)
        if scale is None or (other is node.left and symbol(node.operator) == "/"):
            continue
        if symbol(node.operator) == "/":
            scale = 1 / scale if scale else math.inf
        total = _part(one)
        terms = (*total.added, *total.subtracted)
        if total.value == 0 or len(terms) != 1:
            return None
        inner = _factor(terms[0])
        sign = -1 if total.subtracted else 1
        term = _of_product(_Product(sign * scale * inner.value, inner.factors, inner.divisors))
        return None if term is None else _of_sum(_Sum(total.value * scale, (term,), ()))
    return None
