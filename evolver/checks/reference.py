"""Every key of a task.toml with its type, default and meaning, from the classes that read it.

`docs/task.md` is what `python -m evolver.checks.reference` prints; `init` writes a task.toml of
the same. A meaning stands in the "Attributes" of the class that has the key.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union

from pydantic import BaseModel

from evolver import api
from evolver.operators import DEFAULT
from evolver.ports import Evaluator
from evolver.routing.endpoint import Terms
from evolver.runs.assemble import ARCHIVES, MODELS, OPERATORS, POLICIES
from evolver.runs.config import Options
from evolver.tasks.plugins import find
from evolver.tasks.settings import TABLES, TaskSettings
from evolver.types import Candidate, Result, Tune

_MISSING: Any = object()  # the default of a key that has none
_INHERITED = {"Tune": Tune}  # "see `Tune.limit`" is what that says
_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
_WORDS = {
    str: "text", bool: "true or false", int: "whole number", float: "number", Path: "path",
    Any: "anything",
}  # fmt: skip
_OPENAI = "openai"


@dataclass(frozen=True)
class Key:
    """One key of a table.

    Attributes:
        name: as task.toml has it.
        kind: what its value is, in words.
        default: a value; `_MISSING` where it has to be given.
        meaning: in a sentence or two, without a full stop.
        example: a value to be shown where the default is that there is none.
    """

    name: str
    kind: str
    default: Any
    meaning: str
    example: Any = None


# --- reading the classes --------------------------------------------------------------------------


def keys_of(kind: type[Any]) -> list[Key]:
    """Return the keys of a table that a class reads: a section, or a plug-in's dataclass."""
    told = meanings(kind)
    if issubclass(kind, BaseModel):
        return [
            Key(
                field.alias or name,
                _kind_of(field.annotation, field.metadata),
                _MISSING if field.is_required() else field.get_default(call_default_factory=True),
                told.get(field.alias or name, ""),
                (field.examples or [None])[0],
            )
            for name, field in kind.model_fields.items()
            if not _is_section(field.annotation)
        ]
    hints = typing.get_type_hints(kind, include_extras=True)
    return [
        Key(field.name, _kind_of(hints[field.name]), _default_of(field), told.get(field.name, ""))
        for field in dataclasses.fields(kind)
        if field.init
    ]


def meanings(kind: type) -> dict[str, str]:
    """Return what a class and those that it inherits from say of their attributes."""
    told: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        told |= _entries(one.__doc__ or "", "Attributes")
    return {name: _resolved(text) for name, text in told.items()}


def _resolved(text: str) -> str:
    def said(match: re.Match[str]) -> str:
        return meanings(_INHERITED[match[1]])[match[2]]

    return re.sub(r"see `(\w+)\.(\w+)`", said, text).replace("None: ", "without it ").rstrip(".")


def _entries(docstring: str, section: str) -> dict[str, str]:
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
    return _MISSING


def _is_section(annotation: Any) -> bool:
    parts = (annotation, *typing.get_args(annotation))
    tables = typing.get_origin(annotation) is tuple and typing.get_args(annotation)[0] in (
        dict[str, Any],
    )
    return tables or any(isinstance(p, type) and _is_model(p) for p in parts)


def _is_model(kind: type) -> bool:
    return isinstance(kind, type) and not typing.get_origin(kind) and issubclass(kind, BaseModel)


def _kind_of(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Say in words what a value of a type is."""
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
        return " or ".join(_toml(value) for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind_of(one) for one in arguments if one is not types.NoneType)
    if origin in (tuple, list, Sequence):
        inner = _kind_of(arguments[0])
        return f"list of {inner if ' or ' in inner else inner + 's' * (inner in _PLURAL)}"
    if origin in (dict, Mapping):
        return "table" if arguments[1] is Any else f"table of {_kind_of(arguments[1])}s"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


_PLURAL = ("text", "number", "whole number", "path")


# --- writing TOML ---------------------------------------------------------------------------------


def commented(content: Mapping[str, Any]) -> str:
    """Write a task.toml with these values, and every other key as a comment with its default.

    Args:
        content: section -> key -> value.
    """
    lines = [
        "# A line that begins with '# ' holds a key's default: remove the '# ' to change it.",
        "# All keys, those of operators, models, archives and policies too: docs/task.md.",
        "",
        *_lines(keys_of(TaskSettings), {}),
    ]
    for name, field in TaskSettings.model_fields.items():
        if name in TABLES:
            lines += ["", *_TABLES_SHOWN[name]()]
        elif _is_section(field.annotation):
            assert isinstance(field.annotation, type)
            lines += ["", f"[{name}]  # {_title(field.annotation)}"]
            lines += _lines(keys_of(field.annotation), content.get(name, {}))
    return "\n".join([*lines, ""])


def _lines(keys: Sequence[Key], values: Mapping[str, Any], sign: str = "# ") -> Iterator[str]:
    """Yield a line for each key: those with a value first."""
    ordered = sorted(keys, key=lambda key: key.name not in values)
    written = []
    for key in ordered:
        if key.name in values:
            written.append((f"{key.name} = {_toml(values[key.name])}", key))
            continue
        value = key.example if key.default in (None, _MISSING) else key.default
        if value is not None:
            written.append((f"{sign}{key.name} = {_toml(value)}", key))
    width = min(40, max((len(text) for text, _ in written), default=0))
    for text, key in written:
        yield f"{text:<{width}}  # {_first(key.meaning)}"


def _operators_shown() -> Iterator[str]:
    yield "# [[operator]]: who edits programs, by weight; one table each. Without any these:"
    for table in DEFAULT:
        yield "# [[operator]]"
        about = _title(find(table["use"], root=Path(), kind="operator", builtin=OPERATORS))
        yield f"# use = {_toml(table['use'])}  # {about}"
        yield f"# weight = {table['weight']}"


def _models_shown() -> Iterator[str]:
    yield "# [[model]]: a model that operators ask; one table each. Without any, none is asked."
    yield "# [[model]]"
    plugin = find(_OPENAI, root=Path(), kind="model", builtin=MODELS)
    shown = {"name": "NAME", "api_base": "http://localhost:8000/v1"}
    for key in (*keys_of(plugin), *keys_of(Terms)):
        value = shown.get(key.name, key.default)
        if value is not None:
            yield f"# {key.name} = {_toml(value)}  # {_first(key.meaning)}"


def _stages_shown() -> Iterator[str]:
    kind = typing.get_args(TaskSettings.model_fields["stage"].annotation)[0]
    yield f"# [[stage]]: {_title(kind)}. Without any there is one."
    yield "# [[stage]]"
    yield from _lines(keys_of(kind), {})


_TABLES_SHOWN: Mapping[str, Callable[[], Iterator[str]]] = {
    "operator": _operators_shown,
    "model": _models_shown,
    "stage": _stages_shown,
}


def _title(kind: type) -> str:
    """Return the first line of a docstring, without the section's name."""
    line = inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]
    return re.sub(r"^\[+\w+\]+: ", "", line).rstrip(".")


def _first(meaning: str) -> str:
    """Return the first sentence."""
    return re.split(r"(?<=\w)\. (?=[A-Z])", meaning)[0]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        items = ", ".join(f"{_toml_key(key)} = {_toml(inner)}" for key, inner in value.items())
        return f"{{ {items} }}" if items else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, int | float):
        return repr(value)
    return _quoted(str(value))


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _quoted(key)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


# --- writing the page -----------------------------------------------------------------------------

_INTRODUCTION = """\
# task.toml, Result, candidate, evolve

This page is generated from the code by `make reference`. A task is a folder with a `task.toml`;
`evolver init` writes one with every section. `--set KEY=VALUE` gives any key another value on the
command line of `run`, `resume`, `fork`, `doctor`, `evaluate` and `prompt`, as in
`--set sandbox.memory=2048`, `--set operator.diff.weight=2` (one of several tables by its name, or
by its number) or `--set objective.require.operations='<= 12'`. A value is TOML, or else a text.

A list of texts with one entry may be that text alone. A path is relative to the task's folder, one
of `[task]` to its `root`.
"""


def page() -> str:
    """Return docs/task.md."""
    parts = [_INTRODUCTION, "## Keys above the sections", *_table(keys_of(TaskSettings))]
    for name, field in TaskSettings.model_fields.items():
        if _is_section(field.annotation) and name not in TABLES:
            assert isinstance(field.annotation, type)
            parts += _section(f"[{name}]", field.annotation)
    stage = typing.get_args(TaskSettings.model_fields["stage"].annotation)[0]
    parts += _section("[[stage]]", stage)
    parts += _plugins("[[operator]]", _ABOUT_OPERATORS, OPERATORS, "operator")
    parts += _plugins("[[model]]", _ABOUT_MODELS, MODELS, "model")
    parts += ["### How each model is asked", *_table(keys_of(Terms))]
    parts += _plugins("[islands] archive", _ABOUT_PLUGINS, ARCHIVES, "archive")
    parts += _plugins("[islands] policy", _ABOUT_PLUGINS, POLICIES, "policy")
    parts += ["## Result", _body(Result), *_attributes(meanings(Result))]
    parts += ["## What an evaluator may have", _body(Evaluator)]
    parts += ["## candidate", _body(Candidate), *_methods(Candidate)]
    parts += ["## evolver.evolve", _body(api.evolve)]
    arguments = _entries(api.evolve.__doc__ or "", "Args")
    arguments.pop("**options")
    parts += _attributes(arguments)
    parts += ["### Options of evolve, run and resume", *_table(_options())]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


_ABOUT_OPERATORS = """\
Who edits programs. `use` names one of these or "file.py:Name", `weight` (1.0) is its share. Without
[[operator]] a task has {default}; without a model those that ask one are left out."""
_ABOUT_MODELS = """\
Which models operators ask. `use` names one of these or "file.py:Name"; without it a `name` with a
"/" and no `api_base` is litellm's, any other is openai's. [models.md](models.md) explains them."""
_ABOUT_PLUGINS = 'A name of these, "file.py:Name", or a table with `use` and the settings.'


def _section(heading: str, kind: type) -> list[str]:
    return [f"## {heading}", _sentence(_title(kind)), *_table(keys_of(kind))]


def _plugins(heading: str, about: str, builtin: Mapping[str, str], kind: str) -> list[str]:
    default = ", ".join(f"{table['use']} {table['weight']:g}" for table in DEFAULT)
    parts = [f"## {heading}", about.format(default=default)]
    for name in builtin:
        plugin = find(name, root=Path(), kind=kind, builtin=builtin)
        if name == "scripted":  # for tests, in Python
            continue
        parts += [f"### {name}", _sentence(_title(plugin)), *_table(keys_of(plugin))]
    return parts


def _table(keys: Sequence[Key]) -> list[str]:
    if not keys:
        return []
    cells = ([f"`{k.name}`", k.kind, _shown(k.default), k.meaning] for k in keys)
    rows = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells]
    return ["\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows])]


def _shown(default: Any) -> str:
    if default is _MISSING:
        return "required"
    return "" if default is None else f"`{_toml(default)}`"


def _attributes(entries: Mapping[str, str]) -> list[str]:
    return ["\n".join(f"- `{name}`: {text.rstrip('.')}" for name, text in entries.items())]


def _options() -> list[Key]:
    told = meanings(Options)
    return [
        Key(key.name, key.kind, key.default, told.get(key.name, "")) for key in keys_of(Options)
    ]


def _methods(kind: type) -> Iterator[str]:
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            yield f"### candidate.{name}"
            yield _body(member)
        elif inspect.isfunction(member):
            signature = inspect.signature(member)
            own = signature.replace(parameters=list(signature.parameters.values())[1:])
            bare = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(own))  # annotations are texts
            yield f"### candidate.{name}{bare}"
            yield _body(member)
            yield from _arguments(member)


def _arguments(member: Any) -> Iterator[str]:
    for section in ("Args", "Raises"):
        entries = _entries(member.__doc__ or "", section)
        if entries:
            lines = [f"- `{name}`: {text.rstrip('.')}" for name, text in entries.items()]
            yield "\n".join([f"{section}:".replace("Args", "Arguments"), "", *lines])


def _body(thing: Any) -> str:
    """Return a docstring up to its sections."""
    text = inspect.cleandoc(thing.__doc__ or "")
    return re.split(r"\n\n(?:Args|Attributes|Raises|Returns):\n", text)[0]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


if __name__ == "__main__":
    print(page(), end="")
