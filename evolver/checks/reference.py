"""docs/task.md: every key of a task.toml, and what evaluators and scripts call.

`python -m evolver.checks.reference` prints the page.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evolver import api, ports
from evolver.checks.keys import MISSING, Key, entries, is_section, keys_of, meanings, title
from evolver.checks.toml import to_toml
from evolver.operators import DEFAULT
from evolver.routing.endpoint import Terms
from evolver.runs.assemble import ARCHIVES, MODELS, OPERATORS, POLICIES
from evolver.runs.config import Options
from evolver.tasks.plugins import find
from evolver.tasks.settings import TABLES, TaskSettings
from evolver.types import Candidate, Result

_INTRODUCTION = """\
# task.toml, Result, candidate, evolve

This page is generated from the code by `make reference`. A task is a folder with a `task.toml`;
`evolver init` writes one with every section. `--set KEY=VALUE` overrides any key on the command
line of `run`, `resume`, `fork`, `doctor`, `evaluate` and `prompt`, as in
`--set sandbox.memory=2048`, `--set operator.diff.weight=2` (one of several tables by its name or
its number) or `--set objective.require.operations='<= 12'`. A value that is not TOML is a text.

A text may stand for a list of one text. Paths are relative to the task's folder, those in `[task]`
to its `root`.
"""


def page() -> str:
    """Return docs/task.md."""
    parts = [_INTRODUCTION, "## Keys above the sections", *_table(keys_of(TaskSettings))]
    for name, field in TaskSettings.model_fields.items():
        if is_section(field.annotation) and name not in TABLES:
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
    parts += ["## What an evaluator may have", _MAY_HAVE, "\n".join(map(_optional, _OPTIONAL))]
    parts += ["## candidate", _body(Candidate), *_methods(Candidate)]
    parts += ["## evolver.evolve", _body(api.evolve)]
    arguments = entries(api.evolve.__doc__ or "", "Args")
    arguments.pop("**options")
    parts += _attributes(arguments)
    parts += ["### Options of evolve, run and resume", *_table(_options())]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


_OPTIONAL = (
    ports.WithGuest, ports.WithTrust, ports.SmokeTesting, ports.Probing, ports.Confirming,
    ports.Fitting, ports.Referenced, ports.Demanding,
)  # fmt: skip
_MAY_HAVE = "An evaluator has `evaluate(candidate)`. It may also have:"
_ABOUT_OPERATORS = """\
Operators edit programs. `use` names one of these or "file.py:Name"; `weight` (1.0) is its share. By
default a task has {default}; without a model, operators that ask one are left out."""
_ABOUT_MODELS = """\
Operators ask these models. `use` names one of these or "file.py:Name"; without it, a `name` with a
"/" and no `api_base` means litellm, any other openai. [models.md](models.md) explains them."""
_ABOUT_PLUGINS = 'One of these names, "file.py:Name", or a table with `use` and settings.'


def _section(heading: str, kind: type) -> list[str]:
    return [f"## {heading}", _sentence(title(kind)), *_table(keys_of(kind))]


def _plugins(heading: str, about: str, builtin: Mapping[str, str], kind: str) -> list[str]:
    default = ", ".join(f"{table['use']} {table['weight']:g}" for table in DEFAULT)
    parts = [f"## {heading}", about.format(default=default)]
    for name in builtin:
        plugin = find(name, root=Path(), kind=kind, builtin=builtin)
        if name == "scripted":  # for tests, in Python
            continue
        parts += [f"### {name}", _sentence(title(plugin)), *_table(keys_of(plugin))]
    return parts


def _table(keys: Sequence[Key]) -> list[str]:
    if not keys:
        return []
    cells = ([f"`{k.name}`", k.kind, _shown(k.default), k.meaning] for k in keys)
    rows = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells]
    return ["\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows])]


def _shown(default: Any) -> str:
    if default is MISSING:
        return "required"
    return "" if default is None else f"`{to_toml(default)}`"


def _attributes(said: Mapping[str, str]) -> list[str]:
    return ["\n".join(f"- `{name}`: {text.rstrip('.')}" for name, text in said.items())]


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


def _optional(kind: type) -> str:
    """Return the entry of a Protocol with one method or one attribute."""
    members = vars(kind).items()
    ((name, member),) = ((n, m) for n, m in members if not n.startswith("_"))
    names = list(inspect.signature(member).parameters)[1:] if inspect.isfunction(member) else None
    shown = name if names is None else f"{name}({', '.join(names)})"
    about = " ".join(_body(kind).split("\n\n")[1:])
    return f"- `{shown}`: {' '.join(f'{_body(member)} {about}'.split())}"


def _arguments(member: Any) -> Iterator[str]:
    for section in ("Args", "Raises"):
        said = entries(member.__doc__ or "", section)
        if said:
            lines = [f"- `{name}`: {text.rstrip('.')}" for name, text in said.items()]
            yield "\n".join([f"{section}:".replace("Args", "Arguments"), "", *lines])


def _body(thing: Any) -> str:
    """Return a docstring up to its sections."""
    text = inspect.cleandoc(thing.__doc__ or "")
    return re.split(r"\n\n(?:Args|Attributes|Raises|Returns):\n", text)[0]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


if __name__ == "__main__":
    print(page(), end="")
