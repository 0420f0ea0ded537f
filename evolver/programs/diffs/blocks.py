r"""SEARCH/REPLACE blocks: read from an answer, and made from two versions.

A block, below the path of its file where there are several files::

    src/exp2.py
    <<<<<<< SEARCH
    lines of the file
    =======
    the lines that replace them
    >>>>>>> REPLACE

The marks are seven characters long. Where the code itself holds such lines, the three marks are
longer (`make` writes them so). In a block with marks of seven and several lines of =======, the
SEARCH tells which of them divides it: the longest SEARCH that stands in the program is meant, since
it may hold headings with their underlines.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from evolver.errors import EditError
from evolver.programs.diffs import marks
from evolver.programs.diffs.answers import answer_lines, path_in
from evolver.programs.diffs.applying import Edit
from evolver.programs.diffs.fences import line_above
from evolver.programs.diffs.matching import find
from evolver.programs.diffs.proposals import Proposals
from evolver.programs.diffs.text import Text
from evolver.programs.edits import Region, find_regions, violation
from evolver.types import Files

_CONTEXT = 2  # lines around a change that `make` writes at least


def parse(answer: str, paths: Collection[str] = ()) -> tuple[Edit, ...]:
    """Return the blocks of an answer, in order.

    Args:
        answer: what the model wrote, prose and fences around the blocks included.
        paths: the paths that a line above a block may name.

    Raises:
        EditError: there is no block, one is not finished, its marks are ambiguous, or the blocks
            are of several proposals.
    """
    lines = answer_lines(answer)
    edits: list[Edit] = []
    proposals = Proposals()
    index = 0
    while index < len(lines):
        opening = marks.OPEN.match(lines[index])
        if opening is None:
            _check_stray(lines[index], len(edits))
            proposals.read(lines[index])
            index += 1
            continue
        closing = marks.end(lines, index)
        if closing is None:
            raise EditError(
                f"SEARCH/REPLACE block {len(edits) + 1} is not finished: the answer was cut off, "
                "or its line of ======= or >>>>>>> REPLACE is missing"
            )
        path = path_in(opening[2].strip() or line_above(lines, index), paths)
        size = len(opening[1])
        edits.append(_edit(lines[index + 1 : closing], size, path, len(edits) + 1))
        proposals.add()
        index = closing + 1
    if not edits:
        raise EditError("the answer holds no SEARCH/REPLACE block")
    proposals.check()
    return tuple(edits)


_LONGER = (
    "where the code itself holds such lines, write all three marks of the block longer, by the "
    "same number of characters"
)


def _check_stray(line: str, blocks: int) -> None:
    """Raise for a line that closes no block: the block above it may be meant to end there."""
    closing = marks.CLOSE.match(line)
    if closing is None or len(closing[1]) < marks.SIZE:
        return
    if blocks or "REPLACE" in line.upper():
        raise EditError(f"the line {line.strip()!r} closes no SEARCH/REPLACE block; {_LONGER}")


def _edit(lines: Sequence[str], size: int, path: str | None, number: int) -> Edit:
    """Return a block's edit, with a reading for each possible divider."""
    found = [
        (index, len(mark[1]))
        for index, mark in enumerate(map(marks.DIVIDE.match, lines))
        if mark is not None
    ]
    own = [index for index, length in found if length == size]
    readings = []
    for divider in own or [index for index, _ in found]:
        search, new = lines[:divider], lines[divider + 1 :]
        # Marks of another length in one half alone are the rest of another block.
        if size <= marks.SIZE and any(marks.strays(new, search)):
            continue
        readings.append(Edit(_text(search), _text(new), path))
    if not readings:
        raise EditError(
            f"SEARCH/REPLACE block {number} holds lines that open or close another one; {_LONGER}"
        )
    return readings[0] if len(readings) == 1 else replace(readings[0], readings=tuple(readings))


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def make(before: Files, after: Files) -> str:
    """Return blocks that turn one version of some files into the other.

    Each search matches once when the blocks before it are applied. Each file must have one kind of
    line ending, and the last lines of both versions must both have one or both have none.

    Raises:
        ValueError: the versions differ outside the editable regions.
    """
    reason = violation(before, after)
    if reason is not None:
        raise ValueError(f"no edit leads from one version to the other: {reason}")
    edits: list[Edit] = []
    for path, source in before.items():
        changes = [
            change
            for old, new in zip(
                find_regions(before, is_recorded=True),
                find_regions(after, is_recorded=True),
                strict=True,
            )
            if old.path == path
            for change in _line_changes(source, old, after[path][new.start : new.end])
        ]
        edits += _edits_for(Text(source).lines, changes, path if len(before) > 1 else None)
    return "\n".join(_render(edit) for edit in edits)


def _line_changes(
    source: bytes, region: Region, body: bytes
) -> Iterator[tuple[int, int, Sequence[str]]]:
    """Yield start, end and new lines of each change in a region, counted from the file's top."""
    above = len(Text(source[: region.start]).lines)
    old, new = Text(source[region.start : region.end]).lines, Text(body).lines
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for group in matcher.get_grouped_opcodes(n=1):
        changes = [opcode for opcode in group if opcode[0] != "equal"]
        if changes:
            (_, start, _, low, _), (_, _, end, _, high) = changes[0], changes[-1]
            yield above + start, above + end, new[low:high]


def _edits_for(
    lines: Sequence[str], changes: Sequence[tuple[int, int, Sequence[str]]], path: str | None
) -> list[Edit]:
    """Give each change enough context for its search to match once."""
    current, shift, edits = list(lines), 0, []
    for first, last, new in changes:
        start, end = first + shift, last + shift
        margin = _CONTEXT
        while True:
            low, high = max(0, start - margin), min(len(current), end + margin)
            search = current[low:high]
            if (low, high) == (0, len(current)) or len(find(current, search, search)) == 1:
                break
            margin += 1
        edits.append(
            Edit(_text(search), _text([*current[low:start], *new, *current[end:high]]), path)
        )
        current[start:end] = new
        shift += len(new) - (end - start)
    return edits


def _render(edit: Edit) -> str:
    """Write an edit as a model would."""
    size = marks.needed((edit.search + edit.replace).split("\n"))
    path = "" if edit.path is None else f"{edit.path}\n"
    opener, divider, closer = "<" * size, "=" * size, ">" * size
    return f"{path}{opener} SEARCH\n{edit.search}{divider}\n{edit.replace}{closer} REPLACE\n"
