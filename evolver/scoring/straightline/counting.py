"""Counts the operations of a straight-line program."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from evolver.errors import CandidateOutputError
from evolver.scoring.straightline.line import BINARY, StraightLine


@dataclass(frozen=True)
class _Term:
    """A constant (`value`, where `name` is None), or plus or minus the value of that name."""

    name: int | None
    sign: int = 1
    value: float = 0.0

    def __neg__(self) -> _Term:
        return _Term(self.name, -self.sign, -self.value)


class _Numbering:
    """Value numbering: equal expressions get equal names, whatever their signs.

    An expression is (kind, operand names or a constant); "+c" is a sum with a constant, "c/" a
    constant over a value. Factors of -1 are drawn out of every expression into its term.
    """

    def __init__(self) -> None:
        self.expressions: list[tuple[Any, ...]] = []
        self._names: dict[tuple[Any, ...], int] = {}

    def term(self, expression: tuple[Any, ...], sign: int = 1) -> _Term:
        """Return the term of an expression, naming it at first sight."""
        if expression not in self._names:
            self._names[expression] = len(self.expressions)
            self.expressions.append(expression)
        return _Term(self._names[expression], sign)

    def binary(self, kind: str, a: _Term, b: _Term) -> _Term:
        """Return the term of `a kind b`.

        Raises:
            CandidateOutputError: both are constants and the result is not finite.
        """
        if a.name is None and b.name is None:
            return _folded(kind, a.value, b.value)
        if kind == "-":
            return self._sum(a, -b)
        return {"+": self._sum, "*": self._product, "/": self._quotient}[kind](a, b)

    def _sum(self, a: _Term, b: _Term) -> _Term:
        if a.name is None or b.name is None:
            term, constant = (b, a.value) if a.name is None else (a, b.value)
            return self.term(("+c", term.name, term.sign * constant), term.sign)
        first, second = sorted((a, b), key=lambda term: (term.name, term.sign))
        kind = "+" if a.sign == b.sign else "-"
        return self.term((kind, first.name, second.name), first.sign)

    def _product(self, a: _Term, b: _Term) -> _Term:
        if a.name is None or b.name is None:
            term, constant = (b, a.value) if a.name is None else (a, b.value)
            sign = -term.sign if constant < 0 else term.sign
            return self.term(("*c", term.name, abs(constant)), sign)
        return self.term(("*", *sorted((a.name, b.name))), a.sign * b.sign)

    def _quotient(self, a: _Term, b: _Term) -> _Term:
        if b.name is None:
            sign = -a.sign if b.value < 0 else a.sign
            return self.term(("/c", a.name, abs(b.value)), sign)
        if a.name is None:
            sign = -b.sign if a.value < 0 else b.sign
            return self.term(("c/", b.name, abs(a.value)), sign)
        return self.term(("/", a.name, b.name), a.sign * b.sign)

    def operands(self, name: int) -> tuple[int, ...]:
        """Return the names that an expression is made of."""
        kind, *parts = self.expressions[name]
        return tuple(parts) if kind in BINARY else tuple(parts[:1])

    def can_absorb_sign(self, name: int, uses: Counter[int]) -> bool:
        """Tell whether minus this value takes no more operations than the value.

        A difference turns round, a constant changes its sign; a product or quotient passes the
        sign on to a factor that nothing else uses.
        """
        waiting = [name]
        while waiting:
            name = waiting.pop()
            kind = self.expressions[name][0]
            if kind in ("*", "/"):
                waiting += [operand for operand in self.operands(name) if uses[operand] == 1]
            elif kind not in ("x", "+"):
                return True
        return False


def _folded(kind: str, a: float, b: float) -> _Term:
    try:
        value = BINARY[kind](a, b)
    except ZeroDivisionError:
        value = math.nan
    if not math.isfinite(value):
        raise CandidateOutputError("a constant subexpression of the program is not finite")
    return _Term(None, value=value)


def count_operations(line: StraightLine) -> int:
    """Count the operations of a program whose constants are numbers.

    Each of + - * / on values that depend on x counts 1, however often its value is used; equal
    subexpressions are one value; constants, and what folds to one, are free. A minus sign is
    free where it can go into a constant or turn a sum into a difference, and otherwise it is an
    operation, 0 - u.

    Raises:
        CandidateOutputError: a constant subexpression is not finite.
    """
    numbering = _Numbering()
    terms: list[_Term] = []
    for node in line.nodes:
        match node.kind:
            case "x":
                terms.append(numbering.term(("x",)))
            case "c":
                terms.append(_Term(None, value=node.value))
            case "neg":
                terms.append(-terms[node.left])
            case kind:
                terms.append(numbering.binary(kind, terms[node.left], terms[node.right]))
    output = terms[-1]
    if output.name is None:
        return 0
    uses: Counter[int] = Counter()
    needed = {output.name}
    for name in range(output.name, -1, -1):  # operands have smaller names than their expression
        if name in needed:
            uses.update(numbering.operands(name))
            needed.update(numbering.operands(name))
    operations = sum(numbering.expressions[name] != ("x",) for name in needed)
    return operations + (output.sign < 0 and not numbering.can_absorb_sign(output.name, uses))
