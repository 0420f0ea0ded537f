"""Settings given on the command line, `KEY=VALUE`, laid over those of a task.toml.

A key is dotted as in TOML, `sandbox.memory`. One of several tables is named by what names it there,
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

_TOML = ('"', "'", "[", "{")  # what begins so is TOML or a mistake
_PLUGINS = {("islands", "archive"), ("islands", "policy")}  # a name, or a table with `use`


def assign(settings: TaskSettings, assignments: Sequence[str]) -> TaskSettings:
    """Lay assignments over settings, one after the other.

    Args:
        settings: a task's.
        assignments: each "KEY=VALUE"; the value is TOML, or else a text.

    Raises:
        UsageError: one has no "=", names no key (the nearest is told), or its value does not fit.
    """
    for assignment in assignments:
        where = f"--set {assignment}"
        keys, value = parse(assignment)
        content = settings.model_dump(by_alias=True, exclude_unset=True)
        _put(content, keys, value, where)
        settings = validate(TaskSettings, content, where)
    return settings


def assigned(task: Task, assignments: Sequence[str]) -> Task:
    """Return a task whose settings have assignments laid over them.

    Raises:
        UsageError: as `assign`, or the files that the task names now are not there.
    """
    if not assignments:
        return task
    return assemble_task(task.name, task.root, assign(task.settings, assignments))


def parse(assignment: str) -> tuple[tuple[str, ...], Any]:
    """Return the keys and the value of "KEY=VALUE".

    Raises:
        UsageError: it is none.
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
            f"--set {assignment}: '{text}' is no key; write one as in sandbox.memory, and put a "
            'part with other signs into quotes, as in model."gpt-4.1".weight'
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
            raise UsageError(f"--set {assignment}: {text} is no TOML: {error}") from None
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _put(content: dict[str, Any], keys: Sequence[str], value: Any, where: str) -> None:
    """Put a value to its place, and make the tables on the way there."""
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
            raise UsageError(f"{where}: {'.'.join(path)} is no table but {inner!r}")
        table[keys[depth]] = dict(inner or {})
        table = table[keys[depth]]
    table[keys[-1]] = value


def _one_of(
    content: MutableMapping[str, Any], kind: str, name: str, where: str
) -> MutableMapping[str, Any]:
    """Return a copy of the table of that name or number, put into its place."""
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
    """Return the names of tables; the second of a name has its number, as in a run's report."""
    names: list[str] = []
    for number, table in enumerate(tables, start=1):
        name = str(table.get(TABLES[kind]) or table.get("use", ""))
        sign = "#" if kind == "model" else "-"
        names.append(f"{name}{sign}{number}" if name in names else name)
    return names
