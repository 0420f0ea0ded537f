"""Argument and result types of the functions and methods of Python's library."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evolver.operators.genetic.kinds import INTEGER, NUMBER, REAL, SEQUENCE, TEXT, TRUTH, Type

ARRAY_MODULES = ("np", "numpy", "torch", "jnp")
_INTEGERS_OF_MATH = ("floor", "ceil", "comb", "gcd", "isqrt", "factorial", "perm", "lcm", "trunc")

#: Functions and methods that raise for a float argument.
INTEGER_ARGUMENTS = frozenset(
    (
        *("range", "chr", "bin", "hex", "math.isqrt", "math.comb", "math.gcd", "math.factorial"),
        *("randrange", "randint", "getrandbits", "rotate", "to_bytes", "bit_length"),
    )
)

#: Functions of the module math that raise for some numbers.
PARTIAL = frozenset(
    f"math.{name}"
    for name in ("sqrt", "log", "log2", "log10", "log1p", "acos", "asin", "exp", "pow", "fmod")
)

#: Function -> kind of its value.
RESULTS = {
    **dict.fromkeys(("len", "int", "ord", "round", "id", "hash", "math.isqrt"), INTEGER),
    **dict.fromkeys(("float", "complex", "time.time", "time.perf_counter"), REAL),
    **dict.fromkeys(("bool", "any", "all", "isinstance", "callable", "hasattr"), TRUTH),
    **dict.fromkeys(("str", "repr", "chr", "format", "input", "bin", "hex"), TEXT),
}

_Arguments = Sequence[Type]


def of_math(name: str) -> int:
    """Return the kind of the value of a function of the module math."""
    last = name.rpartition(".")[2]
    return TRUTH if last.startswith("is") and last != "isqrt" else (
        INTEGER if last in _INTEGERS_OF_MATH else REAL
    )  # fmt: skip


def _container(flavour: str) -> Callable[[Type, _Arguments], None]:
    def give(own: Type, arguments: _Arguments) -> None:
        own.be(SEQUENCE)
        own.root.flavours.add(flavour)
        if arguments:
            own.item().join(arguments[0].item())
            arguments[0].be(SEQUENCE)

    return give


def _bytes(own: Type, arguments: _Arguments) -> None:
    own.be(SEQUENCE)
    own.root.flavours.add("bytes")
    own.item().be(INTEGER)
    own.item().need_integer()


def _range(own: Type, arguments: _Arguments) -> None:
    own.be(SEQUENCE)
    own.root.flavours.add("range")
    own.item().be(INTEGER)
    first = arguments[0] if len(arguments) > 1 else None
    own.item().root.may_be_zero |= first is None or first.root.may_be_zero
    for each in arguments:
        each.need_integer()


def _enumerate(own: Type, arguments: _Arguments) -> None:
    own.be(SEQUENCE)
    own.root.flavours.add("iterator")
    pair = own.item()
    pair.be(SEQUENCE)
    pair.root.flavours.add("tuple")
    pair.part(0).be(INTEGER)
    pair.part(0).root.may_be_zero = True
    if arguments:
        pair.part(1).join(arguments[0].item())
        arguments[0].be(SEQUENCE)


def _zip(own: Type, arguments: _Arguments) -> None:
    own.be(SEQUENCE)
    own.root.flavours.add("iterator")
    group = own.item()
    group.be(SEQUENCE)
    group.root.flavours.add("tuple")
    for i, each in enumerate(arguments):
        group.part(i).join(each.item())
        each.be(SEQUENCE)


def _sum(own: Type, arguments: _Arguments) -> None:
    own.compute()
    for each in arguments[:1]:
        each.be(SEQUENCE)
        if not each.item().kind:
            each.item().compute()
        own.be(each.item().root.kinds & NUMBER)


def _extreme(own: Type, arguments: _Arguments) -> None:
    if len(arguments) == 1:
        arguments[0].be(SEQUENCE)
        own.join(arguments[0].item())
    for each in arguments[1:] and arguments:
        if each.kind & NUMBER:
            own.compute()
            own.be(each.root.kinds & NUMBER)
            own.take(each)
    if own.kind & NUMBER:
        for each in arguments[1:] and arguments:
            if not each.kind:
                each.compute()


def _divmod(own: Type, arguments: _Arguments) -> None:
    own.be(SEQUENCE)
    own.root.flavours.add("tuple")
    for i in (0, 1):
        own.part(i).compute()
        if all(each.kind == INTEGER for each in arguments):
            own.part(i).be(INTEGER)


def _power(own: Type, arguments: _Arguments) -> None:
    own.compute()
    for each in arguments:
        each.compute()


def _magnitude(own: Type, arguments: _Arguments) -> None:
    own.compute()
    for each in arguments[:1]:
        each.compute()
        own.be(each.root.kinds & NUMBER)
        own.take(each)


def _dict(own: Type, arguments: _Arguments) -> None:
    own.be(SEQUENCE)
    own.root.flavours.add("dict")


#: Function -> how its result's type follows from its arguments.
ELEMENTS_OF: dict[str, Callable[[Type, _Arguments], None]] = {
    "list": _container("list"),
    "sorted": _container("list"),
    "tuple": _container("tuple"),
    "set": _container("set"),
    "frozenset": _container("set"),
    "reversed": _container("iterator"),
    "iter": _container("iterator"),
    "deque": _container("deque"),
    "collections.deque": _container("deque"),
    "bytes": _bytes,
    "bytearray": _bytes,
    "range": _range,
    "enumerate": _enumerate,
    "zip": _zip,
    "sum": _sum,
    "min": _extreme,
    "max": _extreme,
    "abs": _magnitude,
    "divmod": _divmod,
    "pow": _power,
    "dict": _dict,
}


# --- methods: of the value, its owner, the arguments --------------------------------------------


def _gives(kinds: int) -> Callable[[Type, Type, _Arguments], None]:
    return lambda own, owner, arguments: own.be(kinds)


def _keeps(own: Type, owner: Type, arguments: _Arguments) -> None:
    owner.be(SEQUENCE)
    for each in arguments[-1:]:
        if each.kind & (NUMBER | TRUTH | TEXT):
            owner.item().be(each.root.kinds)
            if each.kind & NUMBER:
                owner.item().take(each)
        else:
            owner.item().join(each)


def _extends(own: Type, owner: Type, arguments: _Arguments) -> None:
    owner.be(SEQUENCE)
    for each in arguments[:1]:
        owner.item().join(each.item())


def _takes_out(own: Type, owner: Type, arguments: _Arguments) -> None:
    owner.be(SEQUENCE)
    own.join(owner.item())


def _copies(own: Type, owner: Type, arguments: _Arguments) -> None:
    own.join(owner)


def _chooses(own: Type, owner: Type, arguments: _Arguments) -> None:
    for each in arguments[:1]:
        each.be(SEQUENCE)
        own.join(each.item())


def _samples(own: Type, owner: Type, arguments: _Arguments) -> None:
    own.be(SEQUENCE)
    own.root.flavours.add("list")
    for each in arguments[:1]:
        own.item().join(each.item())


def _splits(own: Type, owner: Type, arguments: _Arguments) -> None:
    own.be(SEQUENCE)
    own.root.flavours.add("list")
    own.item().be(TEXT)


def _items(own: Type, owner: Type, arguments: _Arguments) -> None:
    owner.be(SEQUENCE)
    owner.root.flavours.add("dict")
    own.be(SEQUENCE)
    own.root.flavours.add("iterator")
    pair = own.item()
    pair.be(SEQUENCE)
    pair.root.flavours.add("tuple")
    pair.part(0).join(owner.keys())
    pair.part(1).join(owner.item())


def _keys(own: Type, owner: Type, arguments: _Arguments) -> None:
    own.be(SEQUENCE)
    own.root.flavours.add("iterator")
    own.item().join(owner.keys())


def _values(own: Type, owner: Type, arguments: _Arguments) -> None:
    own.be(SEQUENCE)
    own.root.flavours.add("iterator")
    own.item().join(owner.item())


METHODS: dict[str, Callable[[Type, Type, _Arguments], None]] = {
    **dict.fromkeys(("append", "add", "appendleft", "insert"), _keeps),
    **dict.fromkeys(("extend", "update"), _extends),
    **dict.fromkeys(("pop", "popleft", "get", "setdefault"), _takes_out),
    "copy": _copies,
    "choice": _chooses,
    "sample": _samples,
    "split": _splits,
    "items": _items,
    "keys": _keys,
    "values": _values,
    **dict.fromkeys(
        ("index", "find", "count", "bit_length", "randrange", "randint"), _gives(INTEGER)
    ),
    **dict.fromkeys(("random", "uniform", "gauss", "mean", "std"), _gives(REAL)),
    **dict.fromkeys(
        ("join", "strip", "lstrip", "rstrip", "lower", "upper", "replace", "format", "decode"),
        _gives(TEXT),
    ),
    **dict.fromkeys(("startswith", "endswith", "isdigit", "isalpha", "isspace"), _gives(TRUTH)),
}
