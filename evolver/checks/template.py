"""Write a task.toml with every key: `init` begins a task with it."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evolver.checks.keys import MISSING, Key, is_section, keys_of, title
from evolver.checks.toml import to_toml
from evolver.operators import DEFAULT
from evolver.routing.endpoint import Terms
from evolver.runs.assemble import MODELS, OPERATORS
from evolver.tasks.plugins import find
from evolver.tasks.settings import TABLES, TaskSettings

_OPENAI = "openai"


def commented(content: Mapping[str, Any]) -> str:
    """Return a task.toml with these values, and every other key as a comment with its default.

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
        elif is_section(field.annotation):
            assert isinstance(field.annotation, type)
            lines += ["", f"[{name}]  # {title(field.annotation)}"]
            lines += _lines(keys_of(field.annotation), content.get(name, {}))
    return "\n".join([*lines, ""])


def _lines(keys: Sequence[Key], values: Mapping[str, Any], sign: str = "# ") -> Iterator[str]:
    """Yield a line for each key, keys with a value first."""
    ordered = sorted(keys, key=lambda key: key.name not in values)
    written = []
    for key in ordered:
        if key.name in values:
            written.append((f"{key.name} = {to_toml(values[key.name])}", key))
            continue
        value = key.example if key.default in (None, MISSING) else key.default
        if value is not None:
            written.append((f"{sign}{key.name} = {to_toml(value)}", key))
    width = min(40, max((len(text) for text, _ in written), default=0))
    for text, key in written:
        yield f"{text:<{width}}  # {_first(key.meaning)}"


def _operators_shown() -> Iterator[str]:
    yield "# [[operator]]: edits programs; drawn by weight, one table each. By default these:"
    for table in DEFAULT:
        yield "# [[operator]]"
        about = title(find(table["use"], root=Path(), kind="operator", builtin=OPERATORS))
        yield f"# use = {to_toml(table['use'])}  # {about}"
        yield f"# weight = {table['weight']}"


def _models_shown() -> Iterator[str]:
    yield "# [[model]]: a model that operators ask; one table each. By default there is none."
    yield "# [[model]]"
    plugin = find(_OPENAI, root=Path(), kind="model", builtin=MODELS)
    shown = {"name": "NAME", "api_base": "http://localhost:8000/v1"}
    for key in (*keys_of(plugin), *keys_of(Terms)):
        value = shown.get(key.name, key.default)
        if value is not None:
            yield f"# {key.name} = {to_toml(value)}  # {_first(key.meaning)}"


def _stages_shown() -> Iterator[str]:
    kind = typing.get_args(TaskSettings.model_fields["stage"].annotation)[0]
    yield f"# [[stage]]: {title(kind)}. By default there is one."
    yield "# [[stage]]"
    yield from _lines(keys_of(kind), {})


_TABLES_SHOWN: Mapping[str, Callable[[], Iterator[str]]] = {
    "operator": _operators_shown,
    "model": _models_shown,
    "stage": _stages_shown,
}


def _first(meaning: str) -> str:
    """Return the first sentence."""
    return re.split(r"(?<=\w)\. (?=[A-Z])", meaning)[0]
