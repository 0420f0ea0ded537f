"""The names around a region: what the rest of its file binds and reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Surroundings:
    """The scope that a region stands in.

    Attributes:
        visible: variables that are bound where the region starts.
        shared: variables of the file's top level, which every function sees.
        read_after: variables that code outside the region, but in the same function, may read
            after it; None for every variable, where the region is not in a function.
        taken: every name that occurs in the file.
    """

    visible: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    read_after: frozenset[str] | None = None
    taken: frozenset[str] = frozenset()


def surroundings(tree: ast.Module, first: int, last: int) -> Surroundings | None:
    """Describe the scope of the lines `first` to `last` of a file, both included.

    None where no statement starts there.
    """
    nodes = list(ast.walk(tree))
    inside = [n.lineno for n in nodes if isinstance(n, ast.stmt) and first <= n.lineno <= last]
    if not inside:
        return None
    start = min(inside)  # of the code; the region may begin with comments
    enclosing = [
        node
        for node in nodes
        if isinstance(node, _Function)
        and node.lineno < first
        and node.body[0].lineno <= start <= (node.end_lineno or 0)
    ]
    visible = dict.fromkeys(() if enclosing else _bound(tree.body, first))
    for function in enclosing:
        visible.update(dict.fromkeys(_arguments(function)))
        visible.update(dict.fromkeys(_bound(function.body, first)))
    read_after = None
    if enclosing and not _is_in_class(enclosing[-1], first, start):
        read_after = _read_after(enclosing[-1], first, start, last)
    return Surroundings(
        tuple(visible),
        tuple(dict.fromkeys(_bound(tree.body, (tree.body[-1].end_lineno or 0) + 1))),
        read_after,
        frozenset(_names(nodes)),
    )


def _names(nodes: Sequence[ast.AST]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.alias(name=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name


def _bound(statements: Sequence[ast.stmt], before: int) -> Iterator[str]:
    """Yield the variables that statements bind above the line `before`."""
    for statement in statements:
        if isinstance(statement, _Function | ast.ClassDef):
            continue
        for node in ast.walk(statement):
            match node:
                case ast.Name(id=name, ctx=ast.Store(), lineno=line) if line < before:
                    yield name


def _arguments(function: _Function) -> Iterator[str]:
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg not in ("self", "cls"):
            yield argument.arg


def _is_in_class(function: _Function, first: int, start: int) -> bool:
    """Does a class inside the function hold the region?"""
    return any(
        isinstance(node, ast.ClassDef) and node.lineno < first and start <= (node.end_lineno or 0)
        for node in ast.walk(function)
    )


def _read_after(function: _Function, first: int, start: int, last: int) -> frozenset[str]:
    in_loop = any(
        isinstance(node, ast.For | ast.While)
        and node.lineno < first
        and start <= (node.end_lineno or 0)
        for node in ast.walk(function)
    )
    return frozenset(
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name)
        and not isinstance(node.ctx, ast.Store)
        and (node.lineno > last or (in_loop and node.lineno < first))
    )
