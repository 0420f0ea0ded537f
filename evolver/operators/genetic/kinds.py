"""Types of the values of a program, as far as its text tells: numbers, containers, functions.

Python has no static types, and most expressions raise in a random place. So every name and every
expression has a `Type`, which collects the values that flow into it and how it is used. Values that
are assigned, passed, returned or kept together share one type, as by unification in Hindley-Milner
inference. It never fails: where kinds disagree, the kind is unknown. Edits keep types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

# The kind of a value: one of these bits, or INTEGER | REAL for any number; 0 for unknown.
INTEGER, REAL, TRUTH, TEXT, SEQUENCE, FUNCTION, OTHER = 1, 2, 4, 8, 16, 32, 64
NUMBER = INTEGER | REAL

Index = int | str  # a constant index
_Key = TypeVar("_Key")
_DEEPEST = 6  # levels of containers in containers


class Type:
    """What is known about a value. Joined types share their `root`; read every field from there.

    Attributes:
        kinds: bits of the values that flow into it.
        is_computed: is it used in arithmetic?
        is_floating: is it used in arithmetic with floats?
        is_strict: must it be an integer, if it is a number?
        is_divisor: is it a divisor?
        may_be_zero: is it sometimes 0, as the first value of a range is?
        flavours: names of its container types.
        indices: its constant indices.
        element: of a container, the values of a dictionary.
        key: of a dictionary.
        parts: of a container whose elements differ, by index.
        takes: the parameters of a function.
        gives: what a function returns.
        sources: the numbers that flow into it, or from which it is computed, by identity.
    """

    def __init__(self, kinds: int = 0, flavour: str = "", element: Type | None = None) -> None:
        self._to: Type | None = None
        self.kinds = kinds
        self.is_computed = self.is_floating = self.is_strict = self.may_be_zero = False
        self.is_divisor = False
        self.flavours = {flavour} if flavour else set[str]()
        self.indices = set[Index]()
        self.element = element
        self.key: Type | None = None
        self.parts: dict[Index, Type] = {}
        self.takes: list[Type] = []
        self.gives: Type | None = None
        self.sources: dict[int, Type] = {}

    @property
    def root(self) -> Type:
        """The type that this one was joined into."""
        found = self
        while found._to is not None:
            found = found._to
        return found

    @property
    def kind(self) -> int:
        """The only kind that it can be; 0 if unknown. A number that may be a float is REAL."""
        own = self.root
        numbers, others = own.kinds & NUMBER, own.kinds & ~NUMBER
        if others == SEQUENCE and own.is_computed and own.flavours <= {"array"}:
            return NUMBER  # an array: any number may replace it in arithmetic
        if others:
            is_one = not numbers and not others & (others - 1)
            return others if is_one and not (own.is_computed and others != TRUTH) else 0
        if numbers:
            return REAL if numbers & REAL else INTEGER
        if own.is_strict:
            return INTEGER
        if own.is_floating:
            return REAL
        return NUMBER if own.is_computed else 0

    @property
    def is_known(self) -> bool:
        """Is anything known about it, even if its kinds disagree?"""
        own = self.root
        inner = (own.element, own.gives, own.parts, own.takes)
        return bool(own.kind or own.kinds or own.is_computed or any(inner))

    def join(self, other: Type, depth: int = 0) -> None:
        """Unify two types, whose values flow together."""
        one, two = self.root, other.root
        if one is two or depth > _DEEPEST:
            return
        two._to = one
        one.kinds |= two.kinds
        one.is_computed |= two.is_computed
        one.is_floating |= two.is_floating
        one.is_strict |= two.is_strict
        one.may_be_zero |= two.may_be_zero
        one.is_divisor |= two.is_divisor
        one.flavours |= two.flavours
        one.indices |= two.indices
        one.element = _joined(one.element, two.element, depth)
        one.key = _joined(one.key, two.key, depth)
        one.gives = _joined(one.gives, two.gives, depth)
        _join_all(one.parts, two.parts, depth)
        one.sources.update(two.sources)
        if one.is_strict:
            one.is_strict = False
            one.need_integer()
        for mine, its in zip(one.takes, two.takes, strict=False):
            mine.join(its, depth + 1)
        one.takes = one.takes or two.takes

    def be(self, kinds: int) -> None:
        """Note that values of these kinds flow into it."""
        self.root.kinds |= kinds

    def compute(self, *, floating: bool = False) -> None:
        """Note that it is used as a number."""
        own = self.root
        own.is_computed = True
        own.is_floating |= floating

    def need_integer(self) -> None:
        """Note that a float would raise here, so that all values that flow into it are integers."""
        own = self.root
        if not own.is_strict:
            own.is_strict = True
            for source in own.sources.values():
                source.need_integer()

    def is_whole(self, known: set[int]) -> bool:
        """Is it an integer, like all that flows into it? A sum of floats may begin with 0.

        Args:
            known: the identities of the types already checked.
        """
        own = self.root
        if id(own) in known:
            return True
        known.add(id(own))
        return own.kind == INTEGER and all(each.is_whole(known) for each in own.sources.values())

    def take(self, source: Type) -> None:
        """Note that a number flows into it, or that it is computed from one."""
        self.root.sources[id(source)] = source
        if self.root.is_strict:
            source.need_integer()

    def item(self) -> Type:
        """Return the type of the elements of a container."""
        own = self.root
        if own.element is None:
            own.element = Type()
            for part in own.parts.values():
                own.element.join(part)
        return own.element.root

    def part(self, index: Index) -> Type:
        """Return the type of one element, by a constant index."""
        own = self.root
        own.indices.add(index)
        if own.element is not None or own.flavours - {"tuple", "dict"}:
            return self.item()
        return own.parts.setdefault(index, Type()).root

    def keys(self) -> Type:
        """Return the type of a dictionary's keys."""
        own = self.root
        own.key = own.key or Type()
        return own.key.root

    def result(self) -> Type:
        """Return the type of a function's result."""
        own = self.root
        own.gives = own.gives or Type()
        return own.gives.root

    def seal(self, depth: int = 0) -> None:
        """Note that a container leaves the program: its integers must stay integers."""
        own = self.root
        if own.kind != SEQUENCE or depth > _DEEPEST:
            return
        for inner in (own.element, own.key, *own.parts.values()):
            if inner is not None:
                if inner.is_whole(set()):
                    inner.need_integer()
                inner.seal(depth + 1)


def _joined(one: Type | None, two: Type | None, depth: int) -> Type | None:
    if one is not None and two is not None:
        one.join(two, depth + 1)
    return one or two


def _join_all(into: dict[_Key, Type], others: Mapping[_Key, Type], depth: int) -> None:
    for key, other in others.items():
        if key in into:
            into[key].join(other, depth + 1)
        else:
            into[key] = other


def alike(one: Type, two: Type, depth: int = 0) -> bool:
    """May a value of one type replace a value of the other?"""
    one, two = one.root, two.root
    if one is two:
        return True
    if one.kind != two.kind or not one.kind or depth > _DEEPEST:
        return False
    if one.kind != SEQUENCE:
        return one.kind in (TRUTH, TEXT) or bool(one.kind & NUMBER)
    if one.flavours != two.flavours or one.parts.keys() != two.parts.keys():
        return False
    inner = [(one.element, two.element), (one.key, two.key)]
    inner += [(one.parts[index], two.parts[index]) for index in one.parts]
    return all(
        (mine is None) == (its is None)
        and (mine is None or its is None or alike(mine, its, depth + 1))
        for mine, its in inner
    )


Names = Mapping[str, Type]  # the variables that are bound at one point of a program


def fitting(names: Names, kind: int) -> tuple[str, ...]:
    """Return the names whose values surely are of a kind.

    Args:
        names: in scope.
        kind: INTEGER for integers only, another kind of number for any number.
    """
    if kind & REAL:
        return tuple(name for name, each in names.items() if each.kind & NUMBER)
    return tuple(name for name, each in names.items() if kind and each.kind == kind)


def of_same_type(names: Names, wanted: Type) -> Iterable[str]:
    """Yield the names whose values can replace a value of type `wanted`."""
    return (name for name, each in names.items() if alike(each, wanted))
