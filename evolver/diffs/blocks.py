r"""SEARCH/REPLACE blocks: read from an answer, and made from two versions.

A block, with the path of its file above it where there are several::

    src/exp2.py
    <<<<<<< SEARCH
    lines as they stand in the file
    =======
    lines to stand there instead
    >>>>>>> REPLACE

The markers are seven characters long. Where the code itself holds such lines, longer markers of
equal length (`make` writes them) keep the block apart from what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from difflib import SequenceMatcher

from evolver.diffs.answers import answer_lines, line_above, path_in
from evolver.diffs.applying import Edit
from evolver.diffs.matching import find
from evolver.diffs.text import Text
from evolver.edits import Region, find_regions, violation
from evolver.errors import EditError
from evolver.types import Files

_OPEN = re.compile(r"[ \t]*(<{5,})[ \t]*SEARCH\b[ \t]*(.*)$", re.IGNORECASE)
_DIVIDE = re.compile(r"[ \t]*(={5,})[ \t]*$")
_CLOSE = re.compile(r"[ \t]*(>{5,})[ \t]*(?:REPLACE)?[ \t]*$", re.IGNORECASE)
_CONTEXT = 2  # lines around a change that `make` writes where fewer would do


def first(lines: Sequence[str]) -> int | None:
    """Return the index of the line that opens the first block; None where there is none."""
    return next((index for index, line in enumerate(lines) if _OPEN.match(line)), None)


def parse(answer: str, paths: Collection[str] = ()) -> tuple[Edit, ...]:
    """Return the blocks of an answer, in order.

    Args:
        answer: what the model wrote, prose and fences around the blocks included.
        paths: the paths that a line above a block may name.

    Raises:
        EditError: there is no block, or one is not finished.
    """
    lines = answer_lines(answer)
    edits: list[Edit] = []
    index = 0
    while index < len(lines):
        opening = _OPEN.match(lines[index])
        if opening is None:
            index += 1
            continue
        size = len(opening[1])
        divider = _mark(lines, index + 1, _DIVIDE, size)
        closing = None if divider is None else _mark(lines, divider + 1, _CLOSE, size)
        if divider is None or closing is None:
            raise EditError(
                f"SEARCH/REPLACE block {len(edits) + 1} is not finished: the answer was cut off, "
                "or its line of ======= or >>>>>>> REPLACE is missing"
            )
        named = opening[2].strip() or line_above(lines, index)
        edits.append(
            Edit(
                search="".join(f"{line}\n" for line in lines[index + 1 : divider]),
                replace="".join(f"{line}\n" for line in lines[divider + 1 : closing]),
                path=path_in(named, paths),
            )
        )
        index = closing + 1
    if not edits:
        raise EditError("the answer holds no SEARCH/REPLACE block")
    return tuple(edits)


def _mark(lines: Sequence[str], start: int, mark: re.Pattern[str], size: int) -> int | None:
    """Find a block's next marker: one of its own size, else of any, before another block opens."""
    of_any_size = None
    for index in range(start, len(lines)):
        opening = _OPEN.match(lines[index])
        if opening is not None and len(opening[1]) == size:
            break
        found = mark.match(lines[index])
        if found is not None and len(found[1]) == size:
            return index
        if found is not None and of_any_size is None:
            of_any_size = index
    return of_any_size


def make(before: Files, after: Files) -> str:
    """Return blocks that turn one version of some files into the other.

    Each search stands in its file once only, at the moment when its turn comes. Each file must
    have one kind of line ending, and the last lines of both versions must both end in it, or both
    not.

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
            for old, new in zip(find_regions(before), find_regions(after), strict=True)
            if old.path == path
            for change in _line_changes(source, old, after[path][new.start : new.end])
        ]
        edits += _edits_for(Text(source).lines, changes, path if len(before) > 1 else None)
    return "\n".join(_render(edit) for edit in edits)


def _line_changes(
    source: bytes, region: Region, body: bytes
) -> Iterator[tuple[int, int, Sequence[str]]]:
    """Yield start, end and new lines of what differs in a region, counted from the file's top."""
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
    """Give each change enough context to be the only place that its search matches."""
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
        replace = [*current[low:start], *new, *current[end:high]]
        edits.append(
            Edit("".join(f"{x}\n" for x in search), "".join(f"{x}\n" for x in replace), path)
        )
        current[start:end] = new
        shift += len(new) - (end - start)
    return edits


def _render(edit: Edit) -> str:
    """Write an edit as a model would."""
    size = 7
    for line in (edit.search + edit.replace).split("\n"):
        mark = _OPEN.match(line) or _DIVIDE.match(line) or _CLOSE.match(line)
        size = max(size, len(mark[1]) + 1 if mark else 0)
    path = "" if edit.path is None else f"{edit.path}\n"
    opener, divider, closer = "<" * size, "=" * size, ">" * size
    return f"{path}{opener} SEARCH\n{edit.search}{divider}\n{edit.replace}{closer} REPLACE\n"
