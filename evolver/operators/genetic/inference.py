"""Types of expressions, inferred from their operands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import libcst as cst

from evolver.operators.genetic.kinds import (
    FUNCTION,
    INTEGER,
    NUMBER,
    OTHER,
    REAL,
    SEQUENCE,
    TEXT,
    TRUTH,
    Type,
)
from evolver.operators.genetic.library import (
    ARRAY_MODULES,
    ELEMENTS_OF,
    INTEGER_ARGUMENTS,
    METHODS,
    RESULTS,
    of_math,
)
from evolver.operators.genetic.syntax import constant_index, name_of
from evolver.operators.genetic.tree import Path, symbol
from evolver.operators.genetic.writing import number

WHOLE = frozenset(("<<", ">>", "&", "|", "^"))
DIVISIONS = frozenset(("/", "//", "%"))


def flow(value: Type, sink: Type) -> None:
    """Note that a value is assigned, passed or returned."""
    if value.kind & (NUMBER | TRUTH | TEXT) or sink.kind & (NUMBER | TRUTH | TEXT):
        sink.be(value.root.kinds)
        sink.root.may_be_zero |= value.root.may_be_zero
        if value.root.is_computed and not value.root.kinds:
            sink.compute(floating=value.root.is_floating)
        if sink.kind & NUMBER and not value.kind:
            value.compute()
        if value.kind & NUMBER:
            sink.take(value)
    else:
        sink.join(value)


def augment(sink: Type, value: Type) -> None:
    """Note that `sink += value` runs, whatever the operator."""
    if sink.kind == SEQUENCE or value.kind == SEQUENCE:
        if sink.kind in (0, SEQUENCE) and value.kind in (0, SEQUENCE):
            sink.join(value)
        return
    if TEXT in (sink.kind, value.kind):
        return
    value.compute()
    sink.compute(floating=value.kind == REAL)
    flow(value, sink)


class Inference:
    """What passes over a fragment infer about its expressions."""

    def __init__(self) -> None:
        self.types: dict[Path, Type] = {}
        self.functions: dict[str, Type] = {}  # by name, methods too
        self.attributes: dict[str, Type] = {}
        self.is_last = False

    def at(self, path: Path) -> Type:
        """Return the type of the expression at a path, the same in every pass."""
        found = self.types.get(path)
        if found is None:
            found = self.types[path] = Type()
        return found

    def function(self, name: str) -> Type:
        """Return the type of a function of the program."""
        found = self.functions.get(name)
        if found is None:
            found = self.functions[name] = Type(FUNCTION)
        return found

    def called(self, node: cst.Call) -> Type | None:
        """Return the type of the called function where the program defines it."""
        match node.func:
            case cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)):
                return self.functions.get(name)
        return None

    # -- what expressions are --------------------------------------------------------------------

    def result(self, node: cst.CSTNode, path: Path, below: Mapping[Path, Type]) -> Type:
        """Return the type of an expression other than a name, given those of its operands."""
        own = self.at(path)
        of = _RESULTS.get(type(node))
        if type(node) is cst.Call and ("func",) in below:
            owner = ("func", "value")
            below = {**below, owner: self.at((*path, *owner))}
        value = number(node)  # a minus sign included
        if value is not None:
            own.be(INTEGER if isinstance(value, int) else REAL)
            own.root.may_be_zero = value == 0
        elif of is not None:
            of(self, node, own, below)
        return own


def _binary(of: Inference, node: Any, own: Type, below: Mapping[Path, Type]) -> None:
    operator, left, right = symbol(node.operator), below[("left",)], below[("right",)]
    kinds = (left.kind, right.kind)
    if TEXT in kinds:
        own.be(TEXT)
        return
    if SEQUENCE in kinds:
        own.join(left if left.kind == SEQUENCE else right)
        if operator == "+":
            own.join(left)
            own.join(right)
        return
    if kinds == (0, 0) and operator in ("+", "*", "-", "|", "&") and not of.is_last:
        return  # they may be lists or sets
    is_real = REAL in kinds or operator == "/"
    for side in (left, right):
        side.compute(floating=is_real)
    if is_real:
        own.be(REAL)
    elif kinds == (INTEGER, INTEGER) or operator in WHOLE:
        own.be(INTEGER)
    else:
        own.compute()
    right.root.is_divisor |= operator in DIVISIONS
    own.root.may_be_zero |= zero_of(operator, left.root.may_be_zero, right.root.may_be_zero)
    if operator != "/":
        own.take(left)
        own.take(right)


def zero_of(operator: str, left: bool, right: bool) -> bool:
    """May the value of an operation often be 0, given whether its operands may?"""
    if operator == "*":
        return left or right
    return left and right if operator in ("+", "-") else left or operator == "%"


def _unary(of: Inference, node: Any, own: Type, below: Mapping[Path, Type]) -> None:
    inner = below[("expression",)]
    if isinstance(node.operator, cst.Not):
        own.be(TRUTH)
        return
    inner.compute()
    own.compute()
    own.take(inner)
    own.be(inner.root.kinds & NUMBER)


def _comparison(of: Inference, node: Any, own: Type, below: Mapping[Path, Type]) -> None:
    own.be(TRUTH)
    if not all(symbol(target.operator) for target in node.comparisons):
        return
    if any(each.kind & NUMBER for each in below.values()):
        for each in below.values():
            if not each.kind:
                each.compute()


def _boolean(of: Inference, node: Any, own: Type, below: Mapping[Path, Type]) -> None:
    for each in below.values():
        own.be(each.root.kinds)


def _conditional(of: Inference, node: Any, own: Type, below: Mapping[Path, Type]) -> None:
    for step in (("body",), ("orelse",)):
        flow(below[step], own)


def _subscript(of: Inference, node: Any, own: Type, below: Mapping[Path, Type]) -> None:
    container = below[("value",)]
    if container.kind == TEXT:
        own.be(TEXT)
        return
    index = constant_index(node)
    if any(isinstance(each.slice, cst.Slice) for each in node.slice) or len(node.slice) > 1:
        own.join(container if len(node.slice) == 1 else container.item())
    elif index is not None:
        own.join(container.part(index))
    else:
        own.join(container.item())
        for step, each in below.items():
            if "slice" in step and "dict" not in container.root.flavours:
                each.need_integer()
    container.be(SEQUENCE)


def _elements(of: Inference, node: Any, own: Type, below: Mapping[Path, Type]) -> None:
    own.be(SEQUENCE)
    flavour = type(node).__name__.lower()
    own.root.flavours.add(flavour)
    starred = any(isinstance(each, cst.StarredElement) for each in node.elements)
    for step, each in below.items():
        if flavour == "tuple" and not starred and own.root.element is None:
            flow(each, own.root.parts.setdefault(int(step[1]), Type()))
        else:
            flow(each, own.item())


def _dictionary(of: Inference, node: Any, own: Type, below: Mapping[Path, Type]) -> None:
    own.be(SEQUENCE)
    own.root.flavours.add("dict")
    for step, each in below.items():
        flow(each, own.keys() if step[-1] == "key" else own.item())


def _comprehension(of: Inference, node: Any, own: Type, below: Mapping[Path, Type]) -> None:
    own.be(SEQUENCE)
    own.root.flavours.add(_COMPREHENSIONS[type(node)])
    if ("elt",) in below:
        flow(below[("elt",)], own.item())
    else:
        flow(below[("key",)], own.keys())
        flow(below[("value",)], own.item())


_COMPREHENSIONS: dict[type[Any], str] = {
    cst.ListComp: "list",
    cst.SetComp: "set",
    cst.DictComp: "dict",
    cst.GeneratorExp: "iterator",
}


def _attribute(of: Inference, node: Any, own: Type, below: Mapping[Path, Type]) -> None:
    name = name_of(node)
    if name in ("math.pi", "math.e", "math.inf", "math.tau", "np.pi", "np.inf"):
        own.be(REAL)
    elif not name.startswith(("math.", *(f"{module}." for module in ARRAY_MODULES))):
        own.join(of.attributes.setdefault(node.attr.value, Type()))


def _call(of: Inference, node: Any, own: Type, below: Mapping[Path, Type]) -> None:
    arguments = [
        below[("args", i, "value")]
        for i, each in enumerate(node.args)
        if each.keyword is None and not each.star
    ]
    named = {
        each.keyword.value: below[("args", i, "value")]
        for i, each in enumerate(node.args)
        if each.keyword is not None
    }
    function = of.called(node)
    if function is not None:
        for given, taken in zip(arguments, function.root.takes, strict=False):
            flow(given, taken)
        flow(function.result(), own)
        if own.root.is_strict:
            function.result().need_integer()
        return
    key = named.get("key")
    if key is not None:
        source = arguments[0] if arguments else below.get(("func", "value"), Type())
        if not key.result().kind:
            key.result().compute()  # most keys are numbers
        for taken in key.root.takes[:1]:
            taken.join(source.item() if len(arguments) < 2 else source)
    _call_of_library(name_of(node.func), own, below.get(("func", "value")), arguments)


def _call_of_library(name: str, own: Type, owner: Type | None, arguments: list[Type]) -> None:
    """Infer types from a call of a function that the program does not define."""
    last = name.rpartition(".")[2]
    if name.startswith("math."):
        own.be(of_math(name))
        for each in arguments:
            if not each.kind:
                each.compute()
    elif name.partition(".")[0] in ARRAY_MODULES:
        own.root.flavours.add("array")
        own.compute()
    elif name in RESULTS:
        own.be(RESULTS[name])
    elif name in ELEMENTS_OF:
        ELEMENTS_OF[name](own, arguments)
    elif owner is not None and last in METHODS:
        METHODS[last](own, owner, arguments)
    if name in INTEGER_ARGUMENTS or last in INTEGER_ARGUMENTS:
        for each in arguments:
            each.need_integer()


def _lambda(of: Inference, node: Any, own: Type, below: Mapping[Path, Type]) -> None:
    own.be(FUNCTION)
    flow(below[("body",)], own.result())


def _is(kinds: int) -> Callable[[Inference, Any, Type, Mapping[Path, Type]], None]:
    return lambda of, node, own, below: own.be(kinds)


_RESULTS: dict[type[cst.CSTNode], Callable[[Inference, Any, Type, Mapping[Path, Type]], None]] = {
    cst.BinaryOperation: _binary,
    cst.UnaryOperation: _unary,
    cst.BooleanOperation: _boolean,
    cst.Comparison: _comparison,
    cst.IfExp: _conditional,
    cst.Subscript: _subscript,
    cst.Attribute: _attribute,
    cst.Call: _call,
    cst.Lambda: _lambda,
    cst.Imaginary: _is(REAL),
    **dict.fromkeys((cst.SimpleString, cst.FormattedString, cst.ConcatenatedString), _is(TEXT)),
    **dict.fromkeys((cst.Tuple, cst.List, cst.Set), _elements),
    cst.Dict: _dictionary,
    **dict.fromkeys(_COMPREHENSIONS, _comprehension),
    **dict.fromkeys((cst.Await, cst.Yield, cst.Ellipsis), _is(OTHER)),
}
