"""Guest code: it runs in the candidate's own process, so the evaluator trusts none of it.

`trace` and `trace_parameters` call the candidate's function with a symbolic argument that records
the operations on it. The evaluator checks and scores the straight-line list that comes out;
`values` only helps to check that the list is the program. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import candidate  # provided in the guest process by the sandbox's runner

MAX_NODES = 2000  # a longer list is refused by the evaluator as well


class Value:
    """A number that is not known yet: it records + - * / and unary minus, and refuses the rest."""

    __slots__ = ("index", "tape")

    def __init__(self, tape: Tape, index: int) -> None:
        self.tape = tape
        self.index = index

    def __add__(self, other: object) -> Value:
        return self.tape.apply("+", self, other)

    def __radd__(self, other: object) -> Value:
        return self.tape.apply("+", other, self)

    def __sub__(self, other: object) -> Value:
        return self.tape.apply("-", self, other)

    def __rsub__(self, other: object) -> Value:
        return self.tape.apply("-", other, self)

    def __mul__(self, other: object) -> Value:
        return self.tape.apply("*", self, other)

    def __rmul__(self, other: object) -> Value:
        return self.tape.apply("*", other, self)

    def __truediv__(self, other: object) -> Value:
        return self.tape.apply("/", self, other)

    def __rtruediv__(self, other: object) -> Value:
        return self.tape.apply("/", other, self)

    def __neg__(self) -> Value:
        return self.tape.record("neg", self.index)

    def __pos__(self) -> Value:
        return self


def _refuse(what: str) -> Callable[..., NoReturn]:
    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError(
            f"{what} of a value that depends on the argument or on a tuned constant: "
            "the program must be a straight line of + - * / on it"
        )

    return refuse


_REFUSED = {
    "a branch on the truth": ("__bool__",),
    "a comparison": ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"),
    "float(), int(), complex() or a math function": (
        "__float__", "__int__", "__complex__", "__index__", "__trunc__", "__floor__", "__ceil__",
        "__round__",
    ),
    "a power (write the products)": ("__pow__", "__rpow__"),
    "abs()": ("__abs__",),
    "// or %": (
        "__floordiv__", "__rfloordiv__", "__mod__", "__rmod__", "__divmod__", "__rdivmod__",
    ),
    "a bit operation": (
        "__and__", "__rand__", "__or__", "__ror__", "__xor__", "__rxor__", "__invert__",
        "__lshift__", "__rlshift__", "__rshift__", "__rrshift__",
    ),
    "a matrix product": ("__matmul__", "__rmatmul__"),
    "indexing, iteration or the length": ("__getitem__", "__iter__", "__len__", "__contains__"),
    "the hash": ("__hash__",),
    "a numpy conversion": ("__array__", "__array_ufunc__"),
}  # fmt: skip
for _what, _names in _REFUSED.items():
    for _name in _names:
        setattr(Value, _name, _refuse(_what))


class Tape:
    """The list that symbolic values write: ["x"], ["p", i], ["c", value] or [operation, i, j]."""

    def __init__(self) -> None:
        self.nodes: list[list[Any]] = []
        self._constants: dict[float, int] = {}

    def record(self, *node: Any) -> Value:
        """Write a node down and return the value that it stands for."""
        if len(self.nodes) >= MAX_NODES:
            raise ValueError(f"the program takes more than {MAX_NODES} operations")
        self.nodes.append(list(node))
        return Value(self, len(self.nodes) - 1)

    def apply(self, operation: str, left: object, right: object) -> Value:
        """Record an operation on two values, either of which may be a number."""
        return self.record(operation, self.index_of(left), self.index_of(right))

    def index_of(self, operand: object) -> int:
        """Return the node of an operand, writing a number down as a constant once."""
        if isinstance(operand, Value):
            return operand.index
        if isinstance(operand, bool) or not isinstance(operand, int | float):
            kind = type(operand).__name__
            raise TypeError(f"an operand of type {kind}; only numbers can be used")
        value = float(operand)
        if not math.isfinite(value):
            raise ValueError(f"the constant {value} is not finite")
        if value not in self._constants:
            self._constants[value] = self.record("c", value).index
        return self._constants[value]

    def line(self, output: object) -> dict[str, Any]:
        """The recorded list as plain values, `output` included."""
        return {"output": self.index_of(output), "nodes": self.nodes}


class Ieee(float):
    """A float that divides as IEEE 754 says: c/0 is an infinity, 0/0 is NaN, c/inf is 0.

    Python's own float raises ZeroDivisionError there; forms such as ``a / (x + b / x)`` are right
    at x = 0 only with infinities.
    """

    __slots__ = ()

    def __add__(self, other: float) -> Any:
        return _ieee(float.__add__(self, other))

    __radd__ = __add__

    def __sub__(self, other: float) -> Any:
        return _ieee(float.__sub__(self, other))

    def __rsub__(self, other: float) -> Any:
        return _ieee(float.__rsub__(self, other))

    def __mul__(self, other: float) -> Any:
        return _ieee(float.__mul__(self, other))

    __rmul__ = __mul__

    def __truediv__(self, other: float) -> Any:
        if isinstance(other, int | float):
            return _quotient(float(self), float(other))
        return NotImplemented

    def __rtruediv__(self, other: float) -> Any:
        if isinstance(other, int | float):
            return _quotient(float(other), float(self))
        return NotImplemented

    def __neg__(self) -> Ieee:
        return Ieee(float.__neg__(self))

    def __pos__(self) -> Ieee:
        return self


def _ieee(value: Any) -> Any:
    return value if value is NotImplemented else Ieee(value)


def _quotient(dividend: float, divisor: float) -> Ieee:
    if divisor != 0.0:
        return Ieee(dividend / divisor)
    if dividend == 0.0 or math.isnan(dividend):
        return Ieee(math.nan)
    return Ieee(math.copysign(math.inf, dividend) * math.copysign(1.0, divisor))


def _function(module: object, name: str) -> Callable[[Any], Any]:
    function: Callable[[Any], Any] | None = getattr(module, name, None)
    if not callable(function):
        raise AttributeError(f"the program defines no function {name}(x)")
    return function


def trace(function: str) -> dict[str, Any]:
    """The function as a straight-line list, its constants being the numbers of the source."""
    tape = Tape()
    x = tape.record("x")
    return tape.line(_function(candidate.load(), function)(x))


def trace_parameters(function: str) -> dict[str, Any]:
    """The same with the tunable literals left symbolic: node ["p", i] is the i-th of them."""
    tape = Tape()
    x = tape.record("x")
    symbols = [tape.record("p", i) for i in range(len(candidate.parameters))]
    return tape.line(_function(candidate.load(symbols), function)(x))


def values(function: str, inputs: Sequence[float]) -> list[float]:
    """The function's values at the inputs, called on floats with IEEE division."""
    called = _function(candidate.load(), function)
    return [float(called(Ieee(x))) for x in inputs]
