"""The keys of a task.toml with their types, defaults and meanings, from the classes that read them.

The "Attributes" section of a class's docstring has the meanings.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union

from pydantic import BaseModel

from evolver.checks.toml import to_toml
from evolver.types import Tune

MISSING: Any = object()  # the default of a required key
_INHERITED = {"Tune": Tune}  # "see `Tune.limit`" is replaced by that meaning
_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
_WORDS = {
    str: "text", bool: "true or false", int: "whole number", float: "number", Path: "path",
    Any: "anything",
}  # fmt: skip
_PLURAL = ("text", "number", "whole number", "path")  # kinds that take an s in "list of"


@dataclass(frozen=True)
class Key:
    """One key of a table.

    Attributes:
        name: as in task.toml.
        kind: the type of its value, in words.
        default: a value; `MISSING` for a required key.
        meaning: a sentence or two, without a full stop.
        example: a value to show if the default is None.
    """

    name: str
    kind: str
    default: Any
    meaning: str
    example: Any = None


def keys_of(kind: type[Any]) -> list[Key]:
    """Return the keys of a table that a class reads: a section, or a plug-in's dataclass."""
    told = meanings(kind)
    if issubclass(kind, BaseModel):
        return [
            Key(
                field.alias or name,
                _kind_of(field.annotation, field.metadata),
                MISSING if field.is_required() else field.get_default(call_default_factory=True),
                told.get(field.alias or name, ""),
                (field.examples or [None])[0],
            )
            for name, field in kind.model_fields.items()
            if not is_section(field.annotation)
        ]
    hints = typing.get_type_hints(kind, include_extras=True)
    return [
        Key(field.name, _kind_of(hints[field.name]), _default_of(field), told.get(field.name, ""))
        for field in dataclasses.fields(kind)
        if field.init
    ]


def meanings(kind: type) -> dict[str, str]:
    """Return the meanings of a class's attributes, inherited ones included."""
    told: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        told |= entries(one.__doc__ or "", "Attributes")
    return {name: _resolved(text) for name, text in told.items()}


def _resolved(text: str) -> str:
    def said(match: re.Match[str]) -> str:
        return meanings(_INHERITED[match[1]])[match[2]]

    return re.sub(r"see `(\w+)\.(\w+)`", said, text).replace("None: ", "without it ").rstrip(".")


def entries(docstring: str, section: str) -> dict[str, str]:
    """Return the entries of a section of a docstring: name -> text on one line."""
    found: dict[str, str] = {}
    name = ""
    lines = iter(inspect.cleandoc(docstring).splitlines())
    for line in lines:
        if line == f"{section}:":
            break
    for line in lines:
        if line and not line.startswith(" "):
            break
        entry = re.match(r" {4}(\**\w+): (.*)", line)
        if entry is not None:
            name = entry[1]
            found[name] = entry[2]
        elif line.strip():
            found[name] += f" {line.strip()}"
    return found


def _default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return MISSING


def is_section(annotation: Any) -> bool:
    """Tell whether a key is a table with a class of its own, or a list of tables."""
    parts = (annotation, *typing.get_args(annotation))
    tables = typing.get_origin(annotation) is tuple and typing.get_args(annotation)[0] in (
        dict[str, Any],
    )
    return tables or any(isinstance(p, type) and _is_model(p) for p in parts)


def _is_model(kind: type) -> bool:
    return isinstance(kind, type) and not typing.get_origin(kind) and issubclass(kind, BaseModel)


def _kind_of(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Return the name of a type, in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _kind_of(arguments[0], [*arguments[1:], *metadata])
    bounds = [
        f"{word} {getattr(bound, name):g}"
        for item in metadata
        for bound in (item, *getattr(item, "metadata", ()))
        for name, word in _BOUNDS.items()
        if getattr(bound, name, None) is not None
    ]
    return ", ".join([_plain_kind(annotation, origin, arguments), *bounds])


def _plain_kind(annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> str:
    if origin is Literal:
        return " or ".join(to_toml(value) for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind_of(one) for one in arguments if one is not types.NoneType)
    if origin in (tuple, list, Sequence):
        inner = _kind_of(arguments[0])
        return f"list of {inner if ' or ' in inner else inner + 's' * (inner in _PLURAL)}"
    if origin in (dict, Mapping):
        return "table" if arguments[1] is Any else f"table of {_kind_of(arguments[1])}s"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def title(kind: type) -> str:
    """Return the first line of a docstring, without the section's name."""
    line = inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]
    return re.sub(r"^\[+\w+\]+: ", "", line).rstrip(".")
