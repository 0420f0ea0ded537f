"""Explain an invalid setting, and what to write instead.

pydantic finds the mistakes, but its messages name Python's types, not those of TOML.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

_SHOWN = 80  # characters of a wrong value

#: What pydantic expected -> what to write.
_WANTED = {
    "string": "a text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a table",
    "mapping": "a table",
    "model": "a table",
    "dataclass": "a table",
    "path": "a path in quotes",
    "is_instance": "a table",
}
_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
_COUNTS = {"too_short": "at least {min_length}", "too_long": "at most {max_length}"}


def sentence(errors: Sequence[Mapping[str, Any]], tables: Collection[str] = ()) -> str:
    """Return a sentence about the first mistake: its key, the expected value and the actual one.

    Args:
        errors: pydantic's, for a key that is neither missing nor unknown.
        tables: keys whose values are lists of tables.
    """
    first = errors[0]
    location, alternatives = _place_of(errors)
    place = ".".join(str(part) for part in location)
    value = first["input"]
    if place in tables:
        instead = f" instead of [{place}]" if isinstance(value, Mapping) else " above its keys"
        return f"{place} is a list of tables; write [[{place}]]{instead}, got {_shown(value)}"
    if _wanted(first) == "a table" and not alternatives and _is_tables(value):
        return f"{place} is one table; write [{place}] instead of [[{place}]], got {_shown(value)}"
    wanted = alternatives or _wanted(first)
    return f"{place}: {_said(first, wanted)}, got {_shown(value)}"


def _place_of(errors: Sequence[Mapping[str, Any]]) -> tuple[tuple[Any, ...], str]:
    """Return the key of the first mistake, and the alternatives for a value of several types."""
    location = tuple(errors[0]["loc"])
    same = [e for e in errors if e["input"] is errors[0]["input"] and len(e["loc"]) > 1]
    siblings = [e for e in same if e["loc"][:-1] == location[:-1]]
    if len(siblings) < 2 or len({e["loc"] for e in siblings}) < 2:
        return location, ""
    wanted = dict.fromkeys(filter(None, map(_wanted, siblings)))
    return location[:-1], " or ".join(wanted)


def _wanted(error: Mapping[str, Any]) -> str:
    kind = str(error["type"])
    if kind == "int_from_float":
        return "a whole number"
    for ending in ("_type", "_parsing", "_of", "_attributes"):
        kind = kind.removesuffix(ending)
    return _WANTED.get(kind, "")


def _said(error: Mapping[str, Any], wanted: str) -> str:
    kind, context = str(error["type"]), error.get("ctx", {})
    if kind in _BOUNDS:
        word, key = _BOUNDS[kind]
        return f"must be {word} {context[key]:g}"
    if kind in _COUNTS:
        many = _COUNTS[kind].format(**context)
        return f"must have {many} {'entry' if many.endswith(' 1') else 'entries'}"
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind == "finite_number":
        return "must be a finite number"
    if wanted:
        return f"must be {wanted}"
    message = str(error["msg"])
    return message[:1].lower() + message[1:]


def _is_tables(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)


def _shown(value: object) -> str:
    """Write a value roughly as TOML would, on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key} = {_shown(inner)}" for key, inner in value.items()) + "}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(map(_shown, value)) + "]"
    else:
        text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
