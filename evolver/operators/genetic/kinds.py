"""Guesses of what expressions are, from how the program uses them.

Python has no static types, and most expressions put in a random place raise. So names collect
marks (subscripted, multiplied by a float, compared, passed to `range`, ...), and edits put like
for like. What nothing is known of fits everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import libcst as cst

from evolver.operators.genetic.tree import Path, symbol

# Kinds are sets of bits; 0 is "nothing known".
INTEGER, REAL, TRUTH, TEXT, SEQUENCE = 1, 2, 4, 8, 16
NUMBER = INTEGER | REAL
_IN_ARITHMETIC = 32  # a mark on names only: some number, integer or not

_ANNOTATIONS = {"int": INTEGER, "float": REAL, "bool": TRUTH, "str": TEXT, "list": SEQUENCE}
_RESULTS = {
    **dict.fromkeys(("len", "int", "ord", "round", "id", "hash"), INTEGER),
    **dict.fromkeys(("float", "divmod", "complex"), REAL),
    **dict.fromkeys(("bool", "any", "all", "isinstance", "callable", "hasattr"), TRUTH),
    **dict.fromkeys(("str", "repr", "chr", "format", "input"), TEXT),
    **dict.fromkeys(
        ("list", "tuple", "sorted", "range", "enumerate", "zip", "reversed", "set", "dict"),
        SEQUENCE,
    ),
    "sum": NUMBER,
}
_TAKE_SEQUENCES = frozenset(
    ["len", "sum", "sorted", "list", "tuple", "reversed", "enumerate", "set", "any", "all"]
)
_LIKE_THEIR_ARGUMENT = ("abs", "min", "max", "pow")
_INTEGERS_OF_MATH = ("floor", "ceil", "comb", "gcd", "isqrt", "factorial")
_ARRAY_MODULES = ("np", "numpy", "torch", "jnp")


class Kinds:
    """What is known of the names of a fragment; it grows while the fragment is walked."""

    def __init__(self) -> None:
        self.marks: dict[str, int] = {}

    def mark(self, node: cst.CSTNode, kind: int) -> None:
        """Note that a name is used as this kind; other expressions carry no marks."""
        if type(node) is cst.Name and kind:
            mark = _IN_ARITHMETIC if kind == NUMBER else kind
            self.marks[node.value] = self.marks.get(node.value, 0) | mark

    def of_name(self, name: str) -> int:
        """Return the kind of a variable."""
        marks = self.marks.get(name, 0)
        kind = marks & ~_IN_ARITHMETIC
        if kind & REAL:
            return kind & ~INTEGER
        return kind | NUMBER if marks & _IN_ARITHMETIC and not kind & INTEGER else kind

    def of(self, node: cst.BaseExpression, below: Sequence[int] = ()) -> int:
        """Return the kind of an expression, given those of its operands where they are known."""
        guess = _GUESSES.get(type(node))
        return guess(self, node, below) if guess is not None else 0

    def wanted(self, parent: cst.CSTNode, step: Path, node: cst.CSTNode, inherited: int) -> int:
        """Return which kind an operand's place wants, and mark the operand with it.

        Args:
            parent: the node that holds the operand.
            step: the operand's path from there.
            node: the operand.
            inherited: what the parent's own place wants.
        """
        read = _WANTS.get(type(parent))
        if read is None:
            return 0
        kind = read(self, parent, step, inherited)
        if kind != TRUTH:
            self.mark(node, kind)
        return kind

    def fitting(self, names: Iterable[str], kind: int) -> tuple[str, ...]:
        """Return the names that may stand where `kind` is wanted."""
        if not kind:
            return tuple(names)
        return tuple(name for name in names if not (have := self.of_name(name)) or have & kind)

    def annotate(self, parameter: cst.Param) -> None:
        """Mark a parameter with what its annotation and its default say."""
        annotation = parameter.annotation
        if annotation is not None and isinstance(annotation.annotation, cst.Name):
            self.mark(parameter.name, _ANNOTATIONS.get(annotation.annotation.value, 0))
        if parameter.default is not None and not isinstance(parameter.default, cst.Name):
            self.mark(parameter.name, self.of(parameter.default))


# --- what expressions are -----------------------------------------------------------------------


def _name(kinds: Kinds, node: Any, below: Sequence[int]) -> int:
    return TRUTH if node.value in ("True", "False") else kinds.of_name(node.value)


def _binary(kinds: Kinds, node: Any, below: Sequence[int]) -> int:
    left, right = below if len(below) == 2 else (kinds.of(node.left), kinds.of(node.right))
    if (left | right) & TEXT:
        return TEXT
    if SEQUENCE in (left, right):
        return SEQUENCE
    if REAL in (left, right) or isinstance(node.operator, cst.Divide):
        for side in (node.left, node.right):
            if type(side) is cst.Name and kinds.of_name(side.value) in (0, NUMBER):
                kinds.mark(side, REAL)
        return REAL
    return INTEGER if left == right == INTEGER else NUMBER


def _unary(kinds: Kinds, node: Any, below: Sequence[int]) -> int:
    if isinstance(node.operator, cst.Not):
        return TRUTH
    return below[0] if below else kinds.of(node.expression)


def _call(kinds: Kinds, node: Any, below: Sequence[int]) -> int:
    function = node.func
    if isinstance(function, cst.Name):
        if function.value in _LIKE_THEIR_ARGUMENT and node.args:
            return kinds.of(node.args[0].value) & NUMBER or NUMBER
        return _RESULTS.get(function.value, 0)
    if isinstance(function, cst.Attribute) and isinstance(function.value, cst.Name):
        if function.value.value == "math":
            return INTEGER if function.attr.value in _INTEGERS_OF_MATH else REAL
        if function.value.value in _ARRAY_MODULES:
            return NUMBER | SEQUENCE
    return 0


def _always(kind: int) -> Callable[[Kinds, Any, Sequence[int]], int]:
    return lambda kinds, node, below: kind


_GUESSES: dict[type[cst.CSTNode], Callable[[Kinds, Any, Sequence[int]], int]] = {
    cst.Name: _name,
    cst.BinaryOperation: _binary,
    cst.UnaryOperation: _unary,
    cst.Call: _call,
    cst.IfExp: lambda kinds, node, below: kinds.of(node.body),
    **dict.fromkeys((cst.Comparison, cst.BooleanOperation), _always(TRUTH)),
    cst.Integer: _always(INTEGER),
    **dict.fromkeys((cst.Float, cst.Imaginary), _always(REAL)),
    **dict.fromkeys((cst.SimpleString, cst.FormattedString, cst.ConcatenatedString), _always(TEXT)),
    **dict.fromkeys(
        (cst.Tuple, cst.List, cst.Set, cst.Dict, cst.ListComp, cst.SetComp, cst.DictComp),
        _always(SEQUENCE),
    ),
    cst.GeneratorExp: _always(SEQUENCE),
}


# --- what places want ---------------------------------------------------------------------------


def _of_binary(kinds: Kinds, parent: Any, step: Path, inherited: int) -> int:
    if symbol(parent.operator) == "@":
        return 0
    return INTEGER if inherited == INTEGER else NUMBER  # where a float goes, an integer goes too


def _of_unary(kinds: Kinds, parent: Any, step: Path, inherited: int) -> int:
    return TRUTH if isinstance(parent.operator, cst.Not) else NUMBER


def _of_call(kinds: Kinds, parent: Any, step: Path, inherited: int) -> int:
    function = parent.func
    if step[0] != "args":
        return 0
    if isinstance(function, cst.Name):
        if function.value == "range":
            return INTEGER
        if function.value in _TAKE_SEQUENCES:
            return SEQUENCE
        return NUMBER if function.value in _LIKE_THEIR_ARGUMENT and len(parent.args) > 1 else 0
    if isinstance(function, cst.Attribute) and isinstance(function.value, cst.Name):
        return NUMBER if function.value.value == "math" else 0
    return 0


def _of_subscript(kinds: Kinds, parent: Any, step: Path, inherited: int) -> int:
    return INTEGER if "slice" in step else SEQUENCE


def _of_assign(kinds: Kinds, parent: Any, step: Path, inherited: int) -> int:
    if step != ("value",):
        return _of_subscript(kinds, parent, step, inherited)
    if isinstance(parent, cst.AugAssign):
        kind = kinds.of(parent.target) & NUMBER
        return NUMBER if kind & REAL else kind
    return 0


_WANTS: dict[type[cst.CSTNode], Callable[[Kinds, Any, Path, int], int]] = {
    cst.BinaryOperation: _of_binary,
    cst.UnaryOperation: _of_unary,
    cst.BooleanOperation: lambda kinds, parent, step, inherited: TRUTH,
    cst.IfExp: lambda kinds, parent, step, inherited: TRUTH if step == ("test",) else inherited,
    cst.Call: _of_call,
    cst.Subscript: _of_subscript,
    cst.Assign: _of_assign,
    cst.AugAssign: _of_assign,
    cst.Assert: lambda kinds, parent, step, inherited: TRUTH,
    cst.If: lambda kinds, parent, step, inherited: TRUTH,
    cst.While: lambda kinds, parent, step, inherited: TRUTH,
    cst.For: lambda kinds, parent, step, inherited: SEQUENCE,
}
