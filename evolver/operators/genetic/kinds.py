"""What the values of a program are, as far as its text tells: numbers, containers, functions.

Python has no static types, and most expressions put in a random place raise. So every name and
every expression has a `Type`, which collects what flows into it and how it is used; what is
assigned, passed, returned or kept together shares one (the union of Hindley and Milner, but that
it never fails: what does not agree is of no known kind). Edits put like for like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

# What a value is: one of these bits, or INTEGER | REAL for some number; 0 is "nothing known".
INTEGER, REAL, TRUTH, TEXT, SEQUENCE, FUNCTION, OTHER = 1, 2, 4, 8, 16, 32, 64
NUMBER = INTEGER | REAL

Index = int | str  # a constant that a container is subscripted by
_Key = TypeVar("_Key")
_DEEPEST = 6  # levels of containers in containers


class Type:
    """What is known of a value. Types that were joined are one: read all through `root`.

    Attributes:
        kinds: bits of what was seen to flow into it.
        is_computed: is it used in arithmetic?
        is_floating: does it meet floats there?
        is_strict: must a number in its place be an integer?
        is_divisor: is something divided by it?
        may_be_zero: was it seen to be 0, as the first value of a range is?
        flavours: names of the containers that it was seen to be.
        indices: the constants that it is subscripted by.
        element: of a container, the values of a dictionary.
        key: of a dictionary.
        parts: of a container whose elements differ, by index.
        takes: the parameters of a function.
        gives: what a function returns.
        sources: the numbers that flow into it, or that it is computed of, by their identity.
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
        """What it surely is, for all that is known; a number that may be a float is REAL."""
        own = self.root
        numbers, others = own.kinds & NUMBER, own.kinds & ~NUMBER
        if others == SEQUENCE and own.is_computed and own.flavours <= {"array"}:
            return NUMBER  # an array: what may stand for it in arithmetic is any number
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
        """Is anything known of it, be it that its kinds do not agree?"""
        own = self.root
        inner = (own.element, own.gives, own.parts, own.takes)
        return bool(own.kind or own.kinds or own.is_computed or any(inner))

    def join(self, other: Type, depth: int = 0) -> None:
        """Make two types one: their values go to the same places."""
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
        """Note what flows into it."""
        self.root.kinds |= kinds

    def compute(self, *, floating: bool = False) -> None:
        """Note that it is used as a number."""
        own = self.root
        own.is_computed = True
        own.is_floating |= floating

    def need_integer(self) -> None:
        """Note that a float in its place would raise, so that all that flows there is whole."""
        own = self.root
        if not own.is_strict:
            own.is_strict = True
            for source in own.sources.values():
                source.need_integer()

    def is_whole(self, known: set[int]) -> bool:
        """Is it an integer, and all that flows into it? A sum begins with 0, whatever it is of.

        Args:
            known: the identities of the types that need not be asked again.
        """
        own = self.root
        if id(own) in known:
            return True
        known.add(id(own))
        return own.kind == INTEGER and all(each.is_whole(known) for each in own.sources.values())

    def take(self, source: Type) -> None:
        """Note that a number flows into it, or that it is computed of one."""
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
        """Return the type of what a function returns."""
        own = self.root
        own.gives = own.gives or Type()
        return own.gives.root

    def seal(self, depth: int = 0) -> None:
        """Note that a container leaves the program: what surely is whole in it stays whole."""
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
    """May a value of the one type stand for a value of the other?"""
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


Names = Mapping[str, Type]  # the variables that are bound at some place


def fitting(names: Names, kind: int) -> tuple[str, ...]:
    """Return the names that surely hold what a place of this kind wants.

    Args:
        names: in scope.
        kind: INTEGER where nothing but an integer will do, another kind of number for any.
    """
    if kind & REAL:
        return tuple(name for name, each in names.items() if each.kind & NUMBER)
    return tuple(name for name, each in names.items() if kind and each.kind == kind)


def of_same_type(names: Names, wanted: Type) -> Iterable[str]:
    """Yield the names that hold what a value of `wanted` can be replaced by."""
    return (name for name, each in names.items() if alike(each, wanted))
