"""The three marks of a SEARCH/REPLACE block, and where blocks begin and end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

OPEN = re.compile(r"[ \t]*(<{5,})[ \t]*SEARCH\b[ \t]*(.*)$", re.IGNORECASE)
DIVIDE = re.compile(r"[ \t]*(={5,})[ \t]*$")
CLOSE = re.compile(r"[ \t]*(>{5,})[ \t]*(?:REPLACE)?[ \t]*$", re.IGNORECASE)
#: Characters of a mark, where the code itself has no such lines.
SIZE = 7
# Git's conflict markers, which some models write instead of SEARCH/REPLACE.
_CONFLICT = (
    re.compile(r"<{7}(?: (?!SEARCH\b).*)?$"),
    re.compile(r"={7}$"),
    re.compile(r">{7}(?: (?!REPLACE\b).*)?$"),
)


def first(lines: Sequence[str]) -> int | None:
    """Return the index of the line that opens the first block; None where there is none."""
    return next((index for index, line in enumerate(lines) if OPEN.match(line)), None)


def find(lines: Sequence[str], start: int, mark: re.Pattern[str], size: int) -> int | None:
    """Find a block's next mark before another block opens: of its own size, else of any."""
    of_any_size = None
    for index in range(start, len(lines)):
        opening = OPEN.match(lines[index])
        if opening is not None and len(opening[1]) == size:
            break
        found = mark.match(lines[index])
        if found is not None and len(found[1]) == size:
            return index
        if found is not None and of_any_size is None:
            of_any_size = index
    return of_any_size


def end(lines: Sequence[str], start: int) -> int | None:
    """Return the index of the line that closes the block opened at `start`; None for none."""
    opening = OPEN.match(lines[start])
    assert opening is not None
    divider = find(lines, start + 1, DIVIDE, len(opening[1]))
    return None if divider is None else find(lines, divider + 1, CLOSE, len(opening[1]))


def longest(lines: Sequence[str]) -> int:
    """Return the number of characters of the longest line like a mark; 0 for none."""
    found = (OPEN.match(line) or DIVIDE.match(line) or CLOSE.match(line) for line in lines)
    return max((len(mark[1]) for mark in found if mark is not None), default=0)


def needed(lines: Sequence[str]) -> int:
    """Return how long the marks of a block must be to differ from those in its lines."""
    found = longest(lines)
    return max(SIZE, found) + 1 if found else SIZE


def strays(lines: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    """Yield lines of new code that open or close a block and are not in the old code."""
    for line in lines:
        if (OPEN.match(line) or CLOSE.match(line)) and line not in known:
            yield line


def has_word(line: str) -> bool:
    """Tell whether a mark says SEARCH or REPLACE."""
    return re.search("SEARCH|REPLACE", line, re.IGNORECASE) is not None


def has_conflict(lines: Sequence[str]) -> bool:
    """Tell whether two versions stand between git's conflict markers."""
    wanted = iter(_CONFLICT)
    mark = next(wanted)
    for line in lines:
        if mark.match(line):
            following = next(wanted, None)
            if following is None:
                return True
            mark = following
    return False
