"""Comments of edited statements are removed, because they may be wrong now.

A changed statement loses the comment at its end and the comment lines directly above it, up to the
first blank line. A loop or a condition loses them if its head was changed, but not for a change
inside it. A comment for a tool, such as `# noqa`, is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import libcst as cst

from evolver.operators.genetic.survey import Survey
from evolver.operators.genetic.syntax import suites
from evolver.operators.genetic.tree import Path, at, operands, replaced

_FOR_TOOLS = re.compile(r"#\s*(type:|noqa|pragma|fmt:|ruff:|mypy:|pylint:|EVOLVE)")


def without_untrue(module: cst.Module, root: Path, before: Survey) -> cst.Module:
    """Return a child's tree without the comments of edited statements.

    Args:
        module: of the child.
        root: path of the suite that holds the fragment's statements.
        before: of the parent; unedited nodes are the same objects in both.
    """
    old = {id(line.node) for line in before.lines}
    old |= {id(part.node) for line in before.lines for part in operands(line.node)}
    edited = [path for path, node in _statements(at(module, root), root) if _is_edited(node, old)]
    for path in edited:
        node = at(module, path)
        changes: dict[str, Any] = {"leading_lines": _kept(node.leading_lines)}
        if isinstance(node, cst.SimpleStatementLine) and _goes(node.trailing_whitespace.comment):
            changes["trailing_whitespace"] = cst.TrailingWhitespace(
                newline=node.trailing_whitespace.newline
            )
        module = replaced(module, path, node.with_changes(**changes))
        if path == ("body", 0):
            module = module.with_changes(header=_kept(module.header))
    return module


def _is_edited(node: cst.CSTNode, old: set[int]) -> bool:
    if id(node) in old:
        return False
    if isinstance(node, cst.SimpleStatementLine):
        return True
    return any(id(part.node) not in old for part in operands(node))


def _statements(suite: Any, path: Path) -> Iterator[tuple[Path, cst.CSTNode]]:
    """Yield the statements of a suite and of those in it."""
    for i, node in enumerate(suite.body):
        yield from _statement(node, (*path, "body", i))


def _statement(node: Any, path: Path) -> Iterator[tuple[Path, cst.CSTNode]]:
    if hasattr(node, "leading_lines"):
        yield path, node
    inner = list(suites(node))
    if isinstance(node, cst.If | cst.For | cst.While | cst.With | cst.FunctionDef | cst.ClassDef):
        inner = [(("body",), node.body)]
        other = getattr(node, "orelse", None)
        if isinstance(other, cst.If):
            yield from _statement(other, (*path, "orelse"))
        elif other is not None:
            inner.append((("orelse", "body"), other.body))
    for step, suite in inner:
        if isinstance(suite, cst.IndentedBlock):
            yield from _statements(suite, (*path, *step))


def _goes(comment: cst.Comment | None) -> bool:
    return comment is not None and not _FOR_TOOLS.match(comment.value)


def _kept(lines: Sequence[cst.EmptyLine]) -> list[cst.EmptyLine]:
    """Return the lines above a statement without the comments directly above it."""
    kept = list(lines)
    first = len(kept)
    while first and kept[first - 1].comment is not None:
        first -= 1
    return kept[:first] + [line for line in kept[first:] if not _goes(line.comment)]
