"""Settings from the command line, `KEY=VALUE`, which override those of a task.toml.

A key is dotted as in TOML, `sandbox.memory`. One of several tables is named by its name,
`operator.diff.weight` or `stage.quick.require.error`, or by its number, `operator.2.weight`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from evolver.errors import UsageError
from evolver.operators import DEFAULT
from evolver.tasks.plugins import nearest
from evolver.tasks.settings import TABLES, TaskSettings, validate
from evolver.tasks.task import Task, assemble_task

_TOML = ('"', "'", "[", "{")  # a value that begins so is TOML or a mistake
_PLUGINS = {("islands", "archive"), ("islands", "policy")}  # a name, or a table with `use`


def assign(settings: TaskSettings, assignments: Sequence[str]) -> TaskSettings:
    """Override settings by assignments, one after the other.

    Args:
        settings: of a task.
        assignments: each "KEY=VALUE"; a value that is not TOML is a text.

    Raises:
        UsageError: one has no "=", an unknown key or an invalid value.
    """
    for assignment in assignments:
        where = f"--set {assignment}"
        keys, value = parse(assignment)
        content = settings.model_dump(by_alias=True, exclude_unset=True)
        _put(content, keys, value, where)
        settings = validate(TaskSettings, content, where)
    return settings


def assigned(task: Task, assignments: Sequence[str]) -> Task:
    """Return a task with its settings overridden by assignments.

    Raises:
        UsageError: as `assign`, or the task now names files that do not exist.
    """
    if not assignments:
        return task
    return assemble_task(task.name, task.root, assign(task.settings, assignments))


def parse(assignment: str) -> tuple[tuple[str, ...], Any]:
    """Return the keys and the value of "KEY=VALUE".

    Raises:
        UsageError: it has another form.
    """
    key, equals, text = assignment.partition("=")
    if not equals:
        raise UsageError(
            f"--set {assignment}: there is no '='; write KEY=VALUE, as in sandbox.memory=2048"
        )
    return _keys(key.strip(), assignment), _value(text.strip(), assignment)


def _keys(text: str, assignment: str) -> tuple[str, ...]:
    try:
        nested: Any = tomllib.loads(f"{text} = 0")
    except tomllib.TOMLDecodeError:
        nested = None
    if not isinstance(nested, dict) or len(nested) != 1:
        raise UsageError(
            f"--set {assignment}: '{text}' is no key; write one as in sandbox.memory, and quote a "
            'part with other characters, as in model."gpt-4.1".weight'
        )
    found = []
    while isinstance(nested, dict):
        ((name, nested),) = nested.items()
        found.append(name)
    return tuple(found)


def _value(text: str, assignment: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError as error:
        if text.startswith(_TOML):
            raise UsageError(f"--set {assignment}: {text} is not valid TOML: {error}") from None
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _put(content: dict[str, Any], keys: Sequence[str], value: Any, where: str) -> None:
    """Set a value, and make the tables on the way to it."""
    table: MutableMapping[str, Any] = content
    done = 0
    if keys[0] in TABLES and len(keys) > 1:
        if len(keys) == 2:
            raise UsageError(f"{where}: name one of its keys, as in {'.'.join(keys)}.KEY=VALUE")
        table = _one_of(content, keys[0], keys[1], where)
        done = 2
    for depth in range(done, len(keys) - 1):
        path = tuple(keys[: depth + 1])
        inner = table.get(keys[depth])
        if path in _PLUGINS and isinstance(inner, str):
            inner = {"use": inner} if inner else {}
        if inner is not None and not isinstance(inner, Mapping):
            raise UsageError(f"{where}: {'.'.join(path)} is {inner!r}, no table; set it whole")
        table[keys[depth]] = dict(inner or {})
        table = table[keys[depth]]
    table[keys[-1]] = value


def _one_of(
    content: MutableMapping[str, Any], kind: str, name: str, where: str
) -> MutableMapping[str, Any]:
    """Replace the table of that name or number by a copy, and return the copy."""
    tables = [dict(table) for table in content.get(kind) or _implied(kind)]
    names = _names(kind, tables)
    if name in names:
        index = names.index(name)
    elif name.isdecimal() and 1 <= int(name) <= len(tables):
        index = int(name) - 1
    elif tables:
        raise UsageError(f"{where}: there is no [[{kind}]] '{name}'; {nearest(name, names)}")
    else:
        raise UsageError(f"{where}: the task has no [[{kind}]]; add one to its task.toml")
    content[kind] = tuple(tables)
    return tables[index]


def _implied(kind: str) -> Sequence[Mapping[str, Any]]:
    return DEFAULT if kind == "operator" else ()


def _names(kind: str, tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of tables; a repeated name gets its number, as in a run's report."""
    names: list[str] = []
    for number, table in enumerate(tables, start=1):
        name = str(table.get(TABLES[kind]) or table.get("use", ""))
        sign = "#" if kind == "model" else "-"
        names.append(f"{name}{sign}{number}" if name in names else name)
    return names
