"""What the code around an expression expects of it, and how risky an edit of it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import libcst as cst

from evolver.operators.genetic.inference import DIVISIONS, WHOLE, Inference
from evolver.operators.genetic.kinds import INTEGER, NUMBER, OTHER, SEQUENCE, TEXT, TRUTH, Type
from evolver.operators.genetic.library import INTEGER_ARGUMENTS, PARTIAL
from evolver.operators.genetic.syntax import name_of
from evolver.operators.genetic.tree import Path, operands, symbol


class Expected(NamedTuple):
    """What the code around an expression expects of it: an expected type, and risks.

    Attributes:
        sink: the type of the variable, element or parameter that takes the value; None: not known.
        kind: the expected kind where there is no sink; 0: the kind of the expression itself.
        is_strict: does a float raise here?
        is_risky: does an edit often make the program raise or never end? True for an index, a
            divisor, the test of a `while`.
        decides: 1 where it is compared or tested, 4 where it is a key for sorting or choosing.
    """

    sink: Type | None = None
    kind: int = 0
    is_strict: bool = False
    is_risky: bool = False
    decides: int = 0

    def wants(self, own: Type) -> int:
        """Return the kind that may stand here; INTEGER where no other number may."""
        kind = self.kind or own.kind
        if self.sink is not None:
            kind = self.sink.kind or kind
        if not kind & NUMBER:
            return kind
        if self.is_strict or (self.sink is not None and self.sink.root.is_strict):
            return INTEGER
        return kind if self.sink is None and not self.kind and kind == INTEGER else NUMBER

    def is_at_risk_of(self, own: Type) -> bool:
        """Does an edit here often make the program raise or never end?"""
        if self.is_risky or (own.kind == INTEGER and own.root.is_strict):
            return True
        sink = None if self.sink is None else self.sink.root
        return sink is not None and sink.is_divisor and sink.kind == INTEGER  # a float is seldom 0

    def at_risk(self) -> Expected:
        """Return the same with `is_risky` set."""
        return self._replace(is_risky=True)


ANY = Expected()


def expected_in(
    of: Inference, parent: cst.CSTNode, step: Path, path: Path, outer: Expected
) -> Expected:
    """Return what is expected of an operand.

    Args:
        of: what is known of the fragment.
        parent: the expression that holds the operand.
        step: the operand's path from there.
        path: the parent's.
        outer: what is expected of the parent.
    """
    find = _EXPECTED.get(type(parent))
    expected = find(of, parent, step, path, outer) if find is not None else ANY
    return expected.at_risk() if outer.is_risky else expected


def expected_in_target(of: Inference, path: Path, step: Path) -> Expected:
    """Return what is expected of an operand of an assignment's target.

    Args:
        of: what is known of the fragment.
        path: the statement's.
        step: the operand's path from there.
    """
    if "slice" not in step:
        return Expected(kind=SEQUENCE)
    container = of.at((*path, *step[: step.index("slice")], "value"))
    if "dict" in container.root.flavours:
        return Expected(container.keys())
    return Expected(None, NUMBER, is_strict=True, is_risky=True)


def _in_binary(of: Inference, parent: Any, step: Path, path: Path, outer: Expected) -> Expected:
    operator = symbol(parent.operator)
    if operator == "@":
        return ANY
    others = {of.at((*path, "left")).kind, of.at((*path, "right")).kind}
    kind = 0 if others & {SEQUENCE, TEXT} else NUMBER
    whole = outer.is_strict or (outer.sink is not None and outer.sink.root.is_strict)
    is_repeated = operator == "*" and SEQUENCE in others
    divides = step == ("right",) and operator in DIVISIONS
    return Expected(None, kind, whole or operator in WHOLE or is_repeated, divides, outer.decides)


def _in_unary(of: Inference, parent: Any, step: Path, path: Path, outer: Expected) -> Expected:
    if isinstance(parent.operator, cst.Not):
        return Expected(kind=TRUTH)
    return Expected(None, NUMBER, outer.is_strict or isinstance(parent.operator, cst.BitInvert))


def _in_comparison(of: Inference, parent: Any, step: Path, path: Path, outer: Expected) -> Expected:
    if not all(symbol(target.operator) for target in parent.comparisons):
        return ANY
    kinds = {of.at((*path, *each.path)).kind for each in operands(parent)}
    kind = NUMBER if any(kind & NUMBER for kind in kinds) else max(kinds)
    return Expected(None, kind, decides=1)


def _in_conditional(
    of: Inference, parent: Any, step: Path, path: Path, outer: Expected
) -> Expected:
    return Expected(kind=TRUTH) if step == ("test",) else outer


def _in_call(of: Inference, parent: Any, step: Path, path: Path, outer: Expected) -> Expected:
    if step[0] != "args":
        return ANY
    index = int(step[1])
    argument = parent.args[index]
    own = of.called(parent)
    if own is not None:
        takes = own.root.takes
        plain = not argument.star and argument.keyword is None and index < len(takes)
        return Expected(takes[index]) if plain else ANY
    name = name_of(parent.func)
    last = name.rpartition(".")[2]
    if name in INTEGER_ARGUMENTS or last in INTEGER_ARGUMENTS:
        return Expected(None, NUMBER, is_strict=True, is_risky=True)
    if name in ("int", "float", "abs", "round"):
        strict = outer.is_strict if name == "abs" else index > 0
        kind = of.at((*path, *step)).kind
        return Expected(None, NUMBER if kind & NUMBER else 0, strict)
    given = sum(each.keyword is None for each in parent.args)
    if name in ("min", "max") and given > 1 and argument.keyword is None:
        numbers = of.at(path).kind & NUMBER
        return Expected(None, NUMBER if numbers else 0, outer.is_strict)
    if name.startswith("math."):
        return Expected(None, NUMBER, is_risky=name in PARTIAL)
    if isinstance(parent.func, cst.Attribute):
        container = of.at((*path, "func", "value"))
        if last in ("append", "add", "appendleft", "remove", "fill"):
            return Expected(container.item())
        if last == "insert" and index == 1:
            return Expected(container.item())
    return ANY


def _in_subscript(of: Inference, parent: Any, step: Path, path: Path, outer: Expected) -> Expected:
    if step == ("value",):
        return Expected(kind=SEQUENCE)
    container = of.at((*path, "value")).root
    if "dict" in container.flavours:
        return Expected(container.keys())
    if container.parts:
        return Expected(kind=OTHER)  # the elements differ: see `reads.readable`
    return Expected(None, NUMBER, is_strict=True, is_risky=True)


def _in_elements(of: Inference, parent: Any, step: Path, path: Path, outer: Expected) -> Expected:
    own = of.at(path).root
    if own.element is None and isinstance(parent, cst.Tuple):
        return Expected(own.parts.setdefault(int(step[1]), Type()))
    return Expected(own.item())


def _in_dictionary(of: Inference, parent: Any, step: Path, path: Path, outer: Expected) -> Expected:
    own = of.at(path)
    return Expected(own.keys() if step[-1] == "key" else own.item())


def _in_comprehension(
    of: Inference, parent: Any, step: Path, path: Path, outer: Expected
) -> Expected:
    if step == ("elt",):
        return Expected(of.at(path).item())
    if step in (("key",), ("value",)):
        return _in_dictionary(of, parent, step, path, outer)
    return Expected(kind=TRUTH, decides=1) if "ifs" in step else Expected(kind=SEQUENCE)


def _in_lambda(of: Inference, parent: Any, step: Path, path: Path, outer: Expected) -> Expected:
    return Expected(of.at(path).result(), decides=4)


_EXPECTED: dict[type[cst.CSTNode], Callable[[Inference, Any, Path, Path, Expected], Expected]] = {
    cst.BinaryOperation: _in_binary,
    cst.UnaryOperation: _in_unary,
    cst.BooleanOperation: lambda of, parent, step, path, outer: Expected(kind=TRUTH, decides=1),
    cst.Comparison: _in_comparison,
    cst.IfExp: _in_conditional,
    cst.Call: _in_call,
    cst.Subscript: _in_subscript,
    **dict.fromkeys((cst.Tuple, cst.List, cst.Set), _in_elements),
    cst.Dict: _in_dictionary,
    **dict.fromkeys((cst.ListComp, cst.SetComp, cst.GeneratorExp, cst.DictComp), _in_comprehension),
    cst.Lambda: _in_lambda,
}
