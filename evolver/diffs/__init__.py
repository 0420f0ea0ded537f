"""Edits in a model's answer, read and applied inside the editable regions. Pure functions.

Three formats: SEARCH/REPLACE blocks and unified diffs (`parse`, which tells them apart, and
`apply`), and code to stand in place of whole regions or files (`rewrite`). `make`, `make_unified`
and `make_rewrite` write them. Whatever cannot be applied raises `EditError`, whose `report` is what
a repair prompt says to the model.
"""

from collections.abc import Collection

from evolver.diffs import blocks, unified
from evolver.diffs.answers import answer_lines, summary
from evolver.diffs.applying import Edit, apply
from evolver.diffs.blocks import make
from evolver.diffs.rewrites import make as make_rewrite
from evolver.diffs.rewrites import rewrite
from evolver.diffs.unified import make as make_unified

__all__ = ["Edit", "apply", "make", "make_rewrite", "make_unified", "parse", "rewrite", "summary"]


def parse(answer: str, paths: Collection[str] = ()) -> tuple[Edit, ...]:
    """Return the edits of an answer, in order: its SEARCH/REPLACE blocks, else its unified diffs.

    Args:
        answer: what the model wrote, prose and fences around the edits included.
        paths: the paths of files that an edit may name.

    Raises:
        EditError: there is no edit, or one is not finished.
    """
    lines = answer_lines(answer)
    # What is begun first holds the other: code may have lines like the marks of either.
    if unified.begins_in(lines[: blocks.first(lines)]):
        return unified.parse(answer, paths)
    return blocks.parse(answer, paths)
