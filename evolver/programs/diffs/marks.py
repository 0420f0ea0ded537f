"""The lines that set off a SEARCH/REPLACE block, and where whole blocks stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

OPEN = re.compile(r"[ \t]*(<{5,})[ \t]*SEARCH\b[ \t]*(.*)$", re.IGNORECASE)
DIVIDE = re.compile(r"[ \t]*(={5,})[ \t]*$")
CLOSE = re.compile(r"[ \t]*(>{5,})[ \t]*(?:REPLACE)?[ \t]*$", re.IGNORECASE)
#: Signs of a line, where the code itself calls for no more.
SIZE = 7
# What git leaves in a file where versions conflict, and some models write instead of SEARCH.
_CONFLICT = (
    re.compile(r"<{7}(?: (?!SEARCH\b).*)?$"),
    re.compile(r"={7}$"),
    re.compile(r">{7}(?: (?!REPLACE\b).*)?$"),
)


def first(lines: Sequence[str]) -> int | None:
    """Return the index of the line that opens the first block; None where there is none."""
    return next((index for index, line in enumerate(lines) if OPEN.match(line)), None)


def find(lines: Sequence[str], start: int, mark: re.Pattern[str], size: int) -> int | None:
    """Find a block's next mark: one of its own size, else of any, before another block opens."""
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
    """Return the index of the line that closes the block opened at `start`; None: none does."""
    opening = OPEN.match(lines[start])
    assert opening is not None
    divider = find(lines, start + 1, DIVIDE, len(opening[1]))
    return None if divider is None else find(lines, divider + 1, CLOSE, len(opening[1]))


def longest(lines: Sequence[str]) -> int:
    """Return how many signs the longest line has that looks like a mark; 0 for none."""
    found = (OPEN.match(line) or DIVIDE.match(line) or CLOSE.match(line) for line in lines)
    return max((len(mark[1]) for mark in found if mark is not None), default=0)


def needed(lines: Sequence[str]) -> int:
    """Return how many signs the marks of a block need to be told from those in its lines."""
    found = longest(lines)
    return max(SIZE, found) + 1 if found else SIZE


def strays(lines: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    """Yield lines of new code that open or close a block and stood in none of the old."""
    for line in lines:
        if (OPEN.match(line) or CLOSE.match(line)) and line not in known:
            yield line


def has_word(line: str) -> bool:
    """Tell whether a mark says SEARCH or REPLACE."""
    return re.search("SEARCH|REPLACE", line, re.IGNORECASE) is not None


def has_conflict(lines: Sequence[str]) -> bool:
    """Tell whether two versions stand one above the other, set off by lines as git writes them."""
    wanted = iter(_CONFLICT)
    mark = next(wanted)
    for line in lines:
        if mark.match(line):
            following = next(wanted, None)
            if following is None:
                return True
            mark = following
    return False
