"""Types of expressions: what each gives, and what the place of each operand wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

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
    Index,
    Type,
)
from evolver.operators.genetic.library import (
    ARRAY_MODULES,
    ELEMENTS_OF,
    INTEGER_ARGUMENTS,
    METHODS,
    PARTIAL,
    RESULTS,
    of_math,
)
from evolver.operators.genetic.tree import Path, operands, symbol
from evolver.operators.genetic.writing import number

_WHOLE = frozenset(("<<", ">>", "&", "|", "^"))
_DIVISIONS = frozenset(("/", "//", "%"))


class Place(NamedTuple):
    """What the place of an expression wants.

    Attributes:
        sink: the type of what takes the value, where it is known.
        kind: what is wanted where no sink says it; 0: what stands there.
        is_strict: does a float raise here?
        is_risky: does an edit often make the program raise or never end: of an index, of what is
            divided by, of the test of a `while`?
        decides: does the value decide something: compared, tested, a key to sort by?
    """

    sink: Type | None = None
    kind: int = 0
    is_strict: bool = False
    is_risky: bool = False
    decides: bool = False

    def wants(self, own: Type) -> int:
        """Return the kind that may stand here, INTEGER where nothing else will do."""
        kind = self.kind or own.kind
        if self.sink is not None:
            kind = self.sink.kind or kind
        if not kind & NUMBER:
            return kind
        if self.is_strict or (self.sink is not None and self.sink.root.is_strict):
            return INTEGER
        return kind if self.sink is None and not self.kind and kind == INTEGER else NUMBER

    def at_risk(self) -> Place:
        return self._replace(is_risky=True)


ANY = Place()


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


def constant_index(node: cst.CSTNode) -> Index | None:
    """Return the constant that a container is subscripted by, or None."""
    match node:
        case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=index))]):
            value = number(index)
            if isinstance(value, int) and value >= 0:
                return value
            if isinstance(index, cst.SimpleString):
                return index.value[1:-1]
    return None


class Inference:
    """What one or more passes over a fragment learn of its expressions."""

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

    # -- what places want ------------------------------------------------------------------------

    def place(self, parent: cst.CSTNode, step: Path, path: Path, outer: Place) -> Place:
        """Return what the place of an operand wants.

        Args:
            parent: the expression that holds it.
            step: the operand's path from there.
            path: the parent's.
            outer: the parent's own place.
        """
        of = _PLACES.get(type(parent))
        place = of(self, parent, step, path, outer) if of is not None else ANY
        return place.at_risk() if outer.is_risky else place

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


# --- places -------------------------------------------------------------------------------------


def _in_binary(of: Inference, parent: Any, step: Path, path: Path, outer: Place) -> Place:
    operator = symbol(parent.operator)
    if operator == "@":
        return ANY
    others = {of.at((*path, "left")).kind, of.at((*path, "right")).kind}
    kind = 0 if others & {SEQUENCE, TEXT} else NUMBER
    whole = outer.is_strict or (outer.sink is not None and outer.sink.root.is_strict)
    is_repeated = operator == "*" and SEQUENCE in others
    divides = step == ("right",) and operator in _DIVISIONS
    return Place(None, kind, whole or operator in _WHOLE or is_repeated, divides, outer.decides)


def _in_unary(of: Inference, parent: Any, step: Path, path: Path, outer: Place) -> Place:
    if isinstance(parent.operator, cst.Not):
        return Place(kind=TRUTH)
    return Place(None, NUMBER, outer.is_strict or isinstance(parent.operator, cst.BitInvert))


def _in_comparison(of: Inference, parent: Any, step: Path, path: Path, outer: Place) -> Place:
    if not all(symbol(target.operator) for target in parent.comparisons):
        return ANY
    kinds = {of.at((*path, *each.path)).kind for each in operands(parent)}
    kind = NUMBER if any(kind & NUMBER for kind in kinds) else max(kinds)
    return Place(None, kind, decides=True)


def _in_conditional(of: Inference, parent: Any, step: Path, path: Path, outer: Place) -> Place:
    return Place(kind=TRUTH) if step == ("test",) else outer


def _in_call(of: Inference, parent: Any, step: Path, path: Path, outer: Place) -> Place:
    if step[0] != "args":
        return ANY
    index = int(step[1])
    argument = parent.args[index]
    own = of.called(parent)
    if own is not None:
        takes = own.root.takes
        plain = not argument.star and argument.keyword is None and index < len(takes)
        return Place(takes[index]) if plain else ANY
    name = _name_of(parent.func)
    last = name.rpartition(".")[2]
    if name in INTEGER_ARGUMENTS or last in INTEGER_ARGUMENTS:
        return Place(None, NUMBER, is_strict=True, is_risky=True)
    if name in ("int", "float", "abs", "round"):
        strict = outer.is_strict if name == "abs" else index > 0
        kind = of.at((*path, *step)).kind
        return Place(None, NUMBER if kind & NUMBER else 0, strict)
    given = sum(each.keyword is None for each in parent.args)
    if name in ("min", "max") and given > 1 and argument.keyword is None:
        numbers = of.at(path).kind & NUMBER
        return Place(None, NUMBER if numbers else 0, outer.is_strict)
    if name.startswith("math."):
        return Place(None, NUMBER, is_risky=name in PARTIAL)
    if isinstance(parent.func, cst.Attribute):
        container = of.at((*path, "func", "value"))
        if last in ("append", "add", "appendleft", "remove", "fill"):
            return Place(container.item())
        if last == "insert" and index == 1:
            return Place(container.item())
    return ANY


def _in_subscript(of: Inference, parent: Any, step: Path, path: Path, outer: Place) -> Place:
    if step == ("value",):
        return Place(kind=SEQUENCE)
    container = of.at((*path, "value")).root
    if "dict" in container.flavours:
        return Place(container.keys())
    if container.parts:
        return Place(kind=OTHER)  # the elements differ: see `reads.readable`
    return Place(None, NUMBER, is_strict=True, is_risky=True)


def _in_elements(of: Inference, parent: Any, step: Path, path: Path, outer: Place) -> Place:
    own = of.at(path).root
    if own.element is None and isinstance(parent, cst.Tuple):
        return Place(own.parts.setdefault(int(step[1]), Type()))
    return Place(own.item())


def _in_dictionary(of: Inference, parent: Any, step: Path, path: Path, outer: Place) -> Place:
    own = of.at(path)
    return Place(own.keys() if step[-1] == "key" else own.item())


def _in_comprehension(of: Inference, parent: Any, step: Path, path: Path, outer: Place) -> Place:
    if step == ("elt",):
        return Place(of.at(path).item())
    if step in (("key",), ("value",)):
        return _in_dictionary(of, parent, step, path, outer)
    return Place(kind=TRUTH, decides=True) if "ifs" in step else Place(kind=SEQUENCE)


def _in_lambda(of: Inference, parent: Any, step: Path, path: Path, outer: Place) -> Place:
    return Place(of.at(path).result(), decides=True)


_PLACES: dict[type[cst.CSTNode], Callable[[Inference, Any, Path, Path, Place], Place]] = {
    cst.BinaryOperation: _in_binary,
    cst.UnaryOperation: _in_unary,
    cst.BooleanOperation: lambda of, parent, step, path, outer: Place(kind=TRUTH, decides=True),
    cst.Comparison: _in_comparison,
    cst.IfExp: _in_conditional,
    cst.Call: _in_call,
    cst.Subscript: _in_subscript,
    **dict.fromkeys((cst.Tuple, cst.List, cst.Set), _in_elements),
    cst.Dict: _in_dictionary,
    **dict.fromkeys((cst.ListComp, cst.SetComp, cst.GeneratorExp, cst.DictComp), _in_comprehension),
    cst.Lambda: _in_lambda,
}


# --- results ------------------------------------------------------------------------------------


def _name_of(node: cst.BaseExpression) -> str:
    """Return a dotted name, "" for what is none."""
    match node:
        case cst.Name(value=name):
            return name
        case cst.Attribute(value=value, attr=cst.Name(value=name)):
            return f"{_name_of(value)}.{name}"
    return ""


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
    elif kinds == (INTEGER, INTEGER) or operator in _WHOLE:
        own.be(INTEGER)
    else:
        own.compute()
    own.root.may_be_zero |= zero_of(operator, left.root.may_be_zero, right.root.may_be_zero)
    if operator != "/":
        own.take(left)
        own.take(right)


def zero_of(operator: str, left: bool, right: bool) -> bool:
    """May the value of an operation be 0 often, where its operands may?"""
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


_COMPREHENSIONS = {
    cst.ListComp: "list",
    cst.SetComp: "set",
    cst.DictComp: "dict",
    cst.GeneratorExp: "iterator",
}


def _attribute(of: Inference, node: Any, own: Type, below: Mapping[Path, Type]) -> None:
    name = _name_of(node)
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
    name = _name_of(node.func)
    key = named.get("key")
    if (key is not None and arguments) or (key and name.endswith(".sort")):
        source = arguments[0] if arguments else below.get(("func", "value"), Type())
        for taken in key.root.takes[:1]:
            taken.join(source.item() if len(arguments) < 2 else source)
    if name.startswith("math."):
        own.be(of_math(name))
        for each in arguments:
            if each.kind in (0, NUMBER):
                each.compute()
    elif name.partition(".")[0] in ARRAY_MODULES:
        own.root.flavours.add("array")
        own.compute()
    elif name in RESULTS:
        own.be(RESULTS[name])
        if name in INTEGER_ARGUMENTS:
            for each in arguments:
                each.need_integer()
        if name in ("abs", "round"):
            for each in arguments:
                each.compute()
    elif name in ELEMENTS_OF:
        ELEMENTS_OF[name](own, arguments)
    elif isinstance(node.func, cst.Attribute):
        last = node.func.attr.value
        if last in METHODS:
            METHODS[last](own, below.get(("func", "value"), Type()), arguments)


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
