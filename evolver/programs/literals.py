"""The float literals of a Python program as a vector, and back into readable code.

A literal is a float constant in an editable region, its minus sign included: ``-0.5`` is one
literal of value -0.5, while the ``0.5`` of ``x - 0.5`` is one of value 0.5. Integers are structure
(sizes, counts, indices), not parameters, and so are floats in f-strings and match patterns.
"""

from __future__ import annotations

import ast
import codecs
import math
import re
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

from evolver.programs.edits import find_regions
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
    binds_tightly: bool = False  # a minus sign before it would apply to the expression around it
    is_negated: bool = False  # another minus sign stands before it


_Found = tuple[ast.expr, float, ast.AST]  # node, value, parent

_WORD = re.compile(rb"[\w\x80-\xff]")  # a byte that would merge with a number next to it
# Encodings in which the columns of `ast`, which are UTF-8 bytes, are those of the file.
_ENCODINGS = ("utf-8", "utf-8-sig", "ascii")


def _floats(tree: ast.AST) -> Iterator[_Found]:
    """Yield the float constants below a node, in no particular order.

    It does not recurse: a sum of thousands of terms is a tree as deep.
    """
    waiting = [tree]
    while waiting:
        parent = waiting.pop()
        for child in ast.iter_child_nodes(parent):
            match child:
                case ast.JoinedStr() | ast.pattern():
                    continue
                case ast.Constant(value=float(value)):
                    yield child, value, parent
                case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=float(value))):
                    yield child, -value, parent
                case _:
                    waiting.append(child)


def _binds_tightly(parent: ast.AST, node: ast.expr) -> bool:
    """Tell whether a minus sign before the node would apply to its parent instead."""
    match parent:
        case (
            ast.BinOp(op=ast.Pow(), left=first)
            | ast.Attribute(value=first)
            | ast.Subscript(value=first)
            | ast.Call(func=first)
            | ast.Await(value=first)
        ):
            return first is node
    return False


@lru_cache(
    maxsize=512
)  # each candidate is looked up several times, and as the parent of its children
def _of_file(path: str, source: bytes) -> tuple[Literal, ...]:
    """Return the finite literals of a whole file by position."""
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(source).readline)
        if codecs.lookup(encoding).name not in _ENCODINGS:
            return ()
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # warnings about a candidate's style do not interest the user
            tree = ast.parse(source)
    except (
        SyntaxError,
        ValueError,
        RecursionError,
        MemoryError,
    ):  # the last two: nested too deeply
        return ()
    offsets = [0]
    for line in source.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    if source.startswith(codecs.BOM_UTF8):
        offsets[0] = len(codecs.BOM_UTF8)  # the first line's columns begin after it
    found = []
    for node, value, parent in _floats(tree):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = offsets[node.lineno - 1] + node.col_offset
        end = offsets[node.end_lineno - 1] + node.end_col_offset
        if math.isfinite(value):
            negated = isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.USub)
            place = (path, node.lineno, node.col_offset, start, end, value)
            found.append(Literal(*place, _binds_tightly(parent, node), negated))
    return tuple(sorted(found, key=lambda literal: literal.start))


def find(files: Files) -> tuple[Literal, ...]:
    """Return the float literals of the editable regions, by path and then by position.

    Only Python files in UTF-8 that parse have any.
    """
    regions = find_regions(files, is_recorded=True)
    found: list[Literal] = []
    for path in sorted(files):
        spans = [(region.start, region.end) for region in regions if region.path == path]
        if not path.endswith(".py") or not spans:
            continue
        found.extend(
            literal
            for literal in _of_file(path, bytes(files[path]))
            if any(low <= literal.start and literal.end <= high for low, high in spans)
        )
    return tuple(found)


def _written(literal: Literal, value: float, before: bytes, after: bytes) -> bytes:
    """Write a value so that it reads back as this literal, given the bytes around it."""
    text = repr(value).encode()
    if text.startswith(b"-"):
        if literal.binds_tightly or before.rstrip(b" \t").endswith(b"-"):
            text = b"(" + text + b")"
    elif literal.is_negated:
        text = b"+" + text  # else that minus sign would become part of it
    elif _WORD.match(before[-1:]):
        text = b" " + text  # "return-0.5" must not become "return0.5"
    return text + b" " if _WORD.match(after) else text


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
        result[literal.path] = before + _written(literal, value, before, after) + after
    return result
