"""The float literals of a Python program as a vector, and back into readable code.

A literal is a float constant in an editable region, its minus sign included: ``-0.5`` is one
literal of value -0.5, while the ``0.5`` of ``x - 0.5`` is one of value 0.5. Integers are structure
(sizes, counts, indices), not parameters, and so are floats in f-strings and match patterns.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evolver.edits import find_regions
from evolver.types import Files


@dataclass(frozen=True)
class Literal:
    """One float literal: where it stands in its file and what it is."""

    path: str
    line: int  # as in `ast`: from 1
    column: int  # as in `ast`: UTF-8 bytes from 0
    start: int  # byte offsets in the file
    end: int
    value: float


def _floats(node: ast.AST) -> Iterator[tuple[ast.expr, float]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.JoinedStr | ast.pattern):
            continue
        match child:
            case ast.Constant(value=float(value)):
                yield child, value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=float(value))):
                yield child, -value
            case _:
                yield from _floats(child)


def find(files: Files) -> tuple[Literal, ...]:
    """Return the float literals of the editable regions, by path and then by position.

    Files that are no Python, or do not parse, have none.
    """
    regions = find_regions(files)
    found: list[Literal] = []
    for path in sorted(files):
        spans = [(region.start, region.end) for region in regions if region.path == path]
        if not path.endswith(".py") or not spans:
            continue
        source = files[path]
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        offsets = [0]
        for line in source.splitlines(keepends=True):
            offsets.append(offsets[-1] + len(line))
        of_file = []
        for node, value in _floats(tree):
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            start = offsets[node.lineno - 1] + node.col_offset
            end = offsets[node.end_lineno - 1] + node.end_col_offset
            if any(low <= start and end <= high for low, high in spans) and math.isfinite(value):
                of_file.append(Literal(path, node.lineno, node.col_offset, start, end, value))
        found.extend(sorted(of_file, key=lambda literal: literal.start))
    return tuple(found)


def substitute(files: Files, values: Sequence[float]) -> dict[str, bytes]:
    """Return the files with their literals set to `values`, each written so that it reads back.

    Args:
        files: a program's editable files.
        values: finite floats, one for each literal of `find(files)`, in its order.

    Raises:
        ValueError: the number of values is not the number of literals, or one is not finite.
    """
    literals = find(files)
    if len(values) != len(literals):
        raise ValueError(f"{len(values)} values for {len(literals)} literals")
    result = dict(files)
    for literal, value in sorted(
        zip(literals, values, strict=True), key=lambda pair: pair[0].start, reverse=True
    ):
        value = float(value)
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be written as a literal")
        if value == literal.value and math.copysign(1, value) == math.copysign(1, literal.value):
            continue
        source = result[literal.path]
        before, after = source[: literal.start], source[literal.end :]
        text = repr(value)
        binds_tighter = after.lstrip(b" \t").startswith((b"**", b"."))
        if value < 0 and (binds_tighter or before.rstrip(b" \t").endswith(b"-")):
            text = f"({text})"
        result[literal.path] = before + text.encode() + after
    return result
