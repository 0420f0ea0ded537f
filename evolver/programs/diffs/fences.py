"""The fenced blocks of an answer, by the rules of CommonMark (https://spec.commonmark.org/0.31.2/).

A fence is closed by one of the same character and at least its length, alone on its line. So a
longer fence can hold shorter ones. Models also nest fences of the same length, which CommonMark
does not allow. Where only one of the two readings closes every fence, that reading is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evolver.errors import EditError
from evolver.programs import languages

_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<ticks>`{3,}|~{3,})[ \t]*(?P<info>.*?)[ \t]*$")
_INDENT = 3  # most columns that a closing fence may be indented deeper than its opening one
_TITLE = re.compile(r"\b(?:title|file|filename|path|name)\s*[=:]\s*[\"']?([^\s\"'}]+)", re.I)


@dataclass(frozen=True)
class Fence:
    """A fenced block: its lines and the text beside and above its opening.

    Attributes:
        lines: without the indent of the opening.
        info: the text after the opening characters: a language, a path, attributes.
        above: the last line above that is not blank.
        start: index of the opening line.
        end: index of the closing line.
    """

    lines: tuple[str, ...]
    info: str
    above: str
    start: int
    end: int

    @property
    def language(self) -> str:
        """The language that the info string names; "" where it names none that is known."""
        words = re.split(r"[\s{},.:]+", self.info.strip())
        return next(filter(None, map(languages.named, filter(None, words[:3]))), "")

    @property
    def labels(self) -> tuple[str, ...]:
        """Names for the block in the info string: a path, or a region's name."""
        titles = _TITLE.findall(self.info)
        first, _, rest = self.info.partition(" ")
        language, _, behind = first.partition(":")
        if languages.named(language.strip("{.}")) and behind:
            titles.append(behind)
        return tuple(filter(None, [*titles, rest.strip(), first]))


def is_fence(line: str) -> bool:
    """Does this line open or close a fenced block?"""
    return _match(line) is not None


def _match(line: str) -> re.Match[str] | None:
    found = _FENCE.match(line)
    # Three backticks with more backticks on the same line are code in a sentence.
    return None if found is None or (found["ticks"][0] == "`" and "`" in found["info"]) else found


def longer_than(lines: Iterable[str]) -> int:
    """Return the length of a fence of backticks that no fence in these lines closes."""
    return max([3, *(len(found["ticks"]) + 1 for found in map(_match, lines) if found)])


def fences(lines: Sequence[str]) -> list[Fence]:
    """Return the fenced blocks.

    Raises:
        EditError: the last fence is not closed, or nested fences are ambiguous.
    """
    plain = _read(lines, nests=False)
    if plain.is_whole and not plain.holds_an_opening:
        return plain.fences
    nested = _read(lines, nests=True)
    if nested.is_whole:
        return nested.fences
    if plain.holds_an_opening:
        raise EditError(
            "a fenced code block opens inside another one of the same length, so where each ends "
            "cannot be told; put a longer fence (````) around code that holds fences"
        )
    raise EditError("the answer ends inside a fenced code block: it was cut off")


def closing(lines: Sequence[str], start: int) -> int | None:
    """Return the index of the line that closes the block opened at `start`; None for none."""
    opening = _match(lines[start])
    assert opening is not None
    for index in range(start + 1, len(lines)):
        fence = _match(lines[index])
        if fence is not None and not fence["info"] and _may_close(opening, fence):
            return index
    return None


@dataclass(frozen=True)
class _Reading:
    """The fences that are closed.

    Attributes:
        fences: in order.
        is_whole: whether all are closed.
        holds_an_opening: whether a line inside looks as if another block opened there.
    """

    fences: list[Fence]
    is_whole: bool
    holds_an_opening: bool


def _read(lines: Sequence[str], *, nests: bool) -> _Reading:
    found: list[Fence] = []
    holds_an_opening = False
    opened: tuple[int, re.Match[str]] | None = None
    depth = 0
    for index, line in enumerate(lines):
        fence = _match(line)
        if fence is None:
            continue
        if opened is None:
            opened, depth = (index, fence), 1
            continue
        if not _may_close(opened[1], fence):
            continue
        if not fence["info"]:
            depth -= 1
        else:
            holds_an_opening = True
            depth += nests
        if depth == 0:
            found.append(_fence(lines, opened[0], index, opened[1]))
            opened = None
    return _Reading(found, opened is None, holds_an_opening)


def _may_close(opening: re.Match[str], fence: re.Match[str]) -> bool:
    """Tell whether a fence may close another, if nothing follows its characters."""
    return (
        fence["ticks"][0] == opening["ticks"][0]
        and len(fence["ticks"]) >= len(opening["ticks"])
        and _width(fence["indent"]) <= _width(opening["indent"]) + _INDENT
    )


def _width(indent: str) -> int:
    return len(indent.expandtabs(4))


def _fence(lines: Sequence[str], start: int, end: int, opening: re.Match[str]) -> Fence:
    indent = opening["indent"]

    def without(line: str) -> str:
        if line.startswith(indent):
            return line[len(indent) :]
        return line.lstrip(" \t") if not line[: len(indent)].strip() else line

    body = tuple(map(without, lines[start + 1 : end])) if indent else tuple(lines[start + 1 : end])
    return Fence(body, opening["info"], line_above(lines, start), start, end)


def line_above(lines: Sequence[str], index: int) -> str:
    """Return the last line before `index` that is neither blank nor a fence."""
    for line in reversed(lines[:index]):
        if line.strip() and not is_fence(line):
            return line.strip()
    return ""
