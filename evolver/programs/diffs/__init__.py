"""Edits in a model's answer, read and applied inside the editable regions. Pure functions.

There are three formats: SEARCH/REPLACE blocks and unified diffs (`parse`, which tells them apart,
and `apply`), and code that replaces whole regions or files (`rewrite`). `make`, `make_unified` and
`make_rewrite` write them. An edit that cannot be applied raises `EditError`; its `report` goes into
the prompt that asks the model again.
"""

from collections.abc import Collection, Sequence

from evolver.programs.diffs import blocks, marks, unified
from evolver.programs.diffs.answers import answer_lines, path_in, summary
from evolver.programs.diffs.applying import Edit, apply
from evolver.programs.diffs.blocks import make
from evolver.programs.diffs.fences import closing, is_fence
from evolver.programs.diffs.rewrites import make as make_rewrite
from evolver.programs.diffs.rewrites import rewrite
from evolver.programs.diffs.unified import make as make_unified

__all__ = [
    "Edit",
    "apply",
    "holds_edits",
    "holds_edits_beside_code",
    "make",
    "make_rewrite",
    "make_unified",
    "parse",
    "rewrite",
    "summary",
]


def parse(answer: str, paths: Collection[str] = ()) -> tuple[Edit, ...]:
    """Return the edits of an answer, in order: its SEARCH/REPLACE blocks, else its unified diffs.

    Args:
        answer: what the model wrote, prose and fences around the edits included.
        paths: the paths of files that an edit may name.

    Raises:
        EditError: there is no edit, or one is not finished.
    """
    lines = answer_lines(answer)
    # The format that begins first holds the other: code may have lines like the marks of both.
    if unified.begins_in(lines[: marks.first(lines)]):
        return unified.parse(answer, paths)
    return blocks.parse(answer, paths)


def holds_edits(answer: str) -> bool:
    """Tell whether an answer holds at least the beginning of a block or a unified diff.

    Raises:
        EditError: reasoning and answer cannot be told apart.
    """
    return _hold_edits(answer_lines(answer))


def holds_edits_beside_code(answer: str) -> bool:
    """Tell whether an answer has edits outside its code: in no fence, or first in one.

    Lines like an edit in the middle of fenced code belong to the code.

    Raises:
        EditError: as `holds_edits`.
    """
    lines = answer_lines(answer)
    outside: list[str] = []
    index = 0
    while index < len(lines):
        end = closing(lines, index) if is_fence(lines[index]) else None
        if end is None or _begins_with_an_edit(lines[index : end + 1]):
            outside.append(lines[index])
            index += 1
        else:
            index = end + 1
    return _hold_edits(outside)


def _hold_edits(lines: Sequence[str]) -> bool:
    return marks.first(lines) is not None or unified.begins_in(lines)


def _begins_with_an_edit(fenced: Sequence[str]) -> bool:
    """Tell whether a fenced block begins with an edit, perhaps below a path."""
    body = [line for line in fenced[1:-1] if line.strip()]
    if body and path_in(body[0]) is not None:
        body = body[1:]
    return bool(body) and _hold_edits([fenced[0], *body[:2]])
