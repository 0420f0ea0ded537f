"""What a program calls by name: for tasks in which it is to do the work by itself."""

from __future__ import annotations

import ast
from collections.abc import Collection

from evolver.errors import CandidateOutputError


def forbid(
    source: bytes,
    *,
    modules: Collection[str],
    names: Collection[str],
    operators: Collection[type[ast.operator]] = (),
) -> None:
    """Refuse Python code that names what would do its work for it.

    It reads the names that the code uses, which stops whoever does not set out to deceive.

    Args:
        source: the code.
        modules: all that it may import: "numpy", and in names with dots each part of them.
        names: of functions, methods and modules that it may not use.
        operators: that it may not use.

    Raises:
        CandidateOutputError: it does; the message says by which name. Or it is no Python.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise CandidateOutputError(f"it is no Python: {error}") from None
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=imported):
                named = [part for alias in imported for part in alias.name.split(".")]
                named = [part for part in named if part not in modules]
            case ast.ImportFrom(module=module, names=imported):
                parts = [*(module or ".").split("."), *(alias.name for alias in imported)]
                named = [part for part in parts[:1] if part not in modules]
                named += [part for part in parts if part in names or part == "*"]
            case ast.Name(id=name) | ast.Attribute(attr=name):
                named = [name] if name in names or name.startswith("__") else []
            case ast.BinOp(op=operator) | ast.AugAssign(op=operator):
                named = [_SIGNS.get(type(operator), type(operator).__name__)]
                named = named if type(operator) in operators else []
            case _:
                named = []
        if named:
            raise CandidateOutputError(
                f"{named[0]} is not allowed: the result is to be computed by the program itself"
            )


_SIGNS: dict[type[ast.operator], str] = {ast.MatMult: "@"}
