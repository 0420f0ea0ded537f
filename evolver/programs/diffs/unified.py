r"""Unified diffs: read from an answer, whatever their line numbers, and made from two versions.

A hunk is an `Edit`: the lines that it keeps or removes are searched, and those that it keeps or
adds replace them. Its line numbers only choose between several matches. So wrong numbers, wrong
counts, missing headers and slightly wrong context do no harm.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Literal

from evolver.errors import EditError
from evolver.programs.diffs.answers import answer_lines
from evolver.programs.diffs.applying import Edit
from evolver.programs.diffs.fences import is_fence
from evolver.programs.diffs.proposals import Proposals
from evolver.programs.diffs.text import Text
from evolver.programs.markers import is_marker
from evolver.types import Files

_CONTEXT = 3  # lines around a change, the usual number
_FUZZ = 2  # most wrong lines of context at each end, as in `patch`
_HUNK = re.compile(r"@@(?: -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@)?")
_FENCE_OF_DIFF = re.compile(r"[ \t]*(?:`{3,}|~{3,})[ \t]*u?(?:diff|patch)\b", re.IGNORECASE)
_UPDATE = "*** Update File:"  # a format of some models, without line numbers and ---
_NO_NEWLINE = "\\ No newline at end of file"
_NOWHERE = "/dev/null"


@dataclass(frozen=True)
class _Counts:
    """The numbers in a hunk's header."""

    old: int  # lines that it keeps or removes
    start: int  # line number of the first that it keeps or adds
    new: int  # lines that it keeps or adds


@dataclass(frozen=True)
class _Hunk:
    """A hunk as it stands in the answer."""

    path: str | None
    counts: _Counts | None  # None where the header has no numbers
    lines: Sequence[str]


def begins_in(lines: Sequence[str]) -> bool:
    """Does a unified diff begin in these lines of an answer?"""
    in_diff = False
    for index, line in enumerate(lines):
        if is_fence(line):
            in_diff = _FENCE_OF_DIFF.match(line) is not None
        is_header = _HUNK.match(line) is not None or line.startswith(_UPDATE)
        if is_header or _is_file_header(lines, index) or (in_diff and _is_change(line)):
            return True
    return False


def parse(answer: str, paths: Collection[str] = ()) -> tuple[Edit, ...]:
    """Return the hunks of the unified diffs in an answer, in order.

    Args:
        answer: what the model wrote, prose and fences around the diffs included.
        paths: the known files; a leading ``a/`` or ``b/`` is cut off a path that is not one.

    Raises:
        EditError: there is no hunk, one is cut off, a file is made or deleted, or the hunks are
            of several proposals.
    """
    proposals = Proposals()
    edits = tuple(_edit(hunk) for hunk in _hunks(answer_lines(answer), paths, proposals))
    if not edits:
        raise EditError("the answer holds no unified diff")
    proposals.check()
    return edits


def _hunks(lines: Sequence[str], paths: Collection[str], proposals: Proposals) -> Iterator[_Hunk]:
    """Yield the hunks that change something; any line that fits no hunk ends one."""
    path: str | None = None
    fence: str | None = None  # the line that opened the current fence
    index = 0
    while index < len(lines):
        line = lines[index]
        header = _HUNK.match(line)
        in_diff = fence is not None and _FENCE_OF_DIFF.match(fence) is not None
        if _is_file_header(lines, index):
            path = _path(line[4:], lines[index + 1][4:], paths)
            index += 2
        elif line.startswith(_UPDATE):
            path = _path(line, line.removeprefix(_UPDATE), paths)
            index += 1
        elif header is not None or (in_diff and _is_change(line)):
            start = index + (header is not None)
            counts = _counts(header)
            index = _end(lines, start, counts, is_fenced=fence is not None)
            if any(map(_is_change, lines[start:index])):
                proposals.add()
                yield _Hunk(path, counts, lines[start:index])
        else:
            proposals.read(line)
            if is_fence(line):
                fence = line if fence is None else None
            index += 1


def _is_file_header(lines: Sequence[str], index: int) -> bool:
    following = lines[index + 1] if index + 1 < len(lines) else ""
    return lines[index].startswith("--- ") and following.startswith("+++ ")


def _path(old: str, new: str, paths: Collection[str]) -> str:
    """Return the file that a diff's two header lines name.

    Raises:
        EditError: the diff makes or deletes a file.
    """
    names = [name.split("\t")[0].strip().strip('"') for name in (old, new)]
    if _NOWHERE in names:
        raise EditError("files cannot be made or deleted; change the existing ones")
    name = names[1]
    return name if name in paths or not name.startswith(("a/", "b/")) else name[2:]


def _is_change(line: str) -> bool:
    return line.startswith(("+", "-"))


def _counts(header: re.Match[str] | None) -> _Counts | None:
    if header is None or header[2] is None:
        return None
    return _Counts(int(header[1] or 1), int(header[2]), int(header[3] or 1))


def _end(lines: Sequence[str], start: int, counts: _Counts | None, *, is_fenced: bool) -> int:
    """Return the index after a hunk's last line, by its header where that is possible.

    Raises:
        EditError: the answer ends inside the hunk.
    """
    counted = None if counts is None else _counted(lines, start, counts)
    if counted is not None:
        return counted
    index = start
    while index < len(lines) and not _ends_hunk(lines, index, is_fenced=is_fenced):
        index += 1
    if index == len(lines) and (is_fenced or (counts is not None and index - start < counts.old)):
        raise EditError("the answer ends in the middle of a diff: it was cut off")
    while index > start and not lines[index - 1].strip():
        index -= 1  # blank lines belong to the text below
    return index


def _counted(lines: Sequence[str], start: int, counts: _Counts) -> int | None:
    """Return where a hunk of these counts ends; None where the counts are wrong."""
    old, new = counts.old, counts.new
    index = start
    while (old > 0 or new > 0) and index < len(lines):
        kind = lines[index][:1]
        if kind not in ("", " ", "+", "-", "\\"):
            return None
        old -= kind in ("", " ", "-")
        new -= kind in ("", " ", "+")
        index += 1
    if (old, new) != (0, 0):
        return None
    if index < len(lines) and lines[index].startswith("\\"):
        index += 1
    goes_on = index < len(lines) and lines[index].startswith((" ", "+", "-"))
    return None if goes_on and not _is_file_header(lines, index) else index


def _ends_hunk(lines: Sequence[str], index: int, *, is_fenced: bool) -> bool:
    line = lines[index]
    if not line or line.startswith((" ", "+", "-", "\\")):
        return _is_file_header(lines, index)
    # In a fence, a line without a sign is more likely code than prose.
    is_header = _HUNK.match(line) is not None or line.startswith(("diff --git ", "*** "))
    return is_header or is_fence(line) or not is_fenced


def _edit(hunk: _Hunk) -> Edit:
    """Return a hunk as an edit, with other readings of it."""
    strict = [(line[:1], line[1:]) if line[:1] in " +-\\" else (" ", line) for line in hunk.lines]
    strict = [(kind or " ", text) for kind, text in strict]
    # Some models put a sign before changed lines only, and no space before the others.
    unset = [(kind, " " + text if kind == " " and text else text) for kind, text in strict]
    line = None
    if hunk.counts is not None:
        line = hunk.counts.start + (
            hunk.counts.new == 0
        )  # a hunk that leaves no lines names the line before
    edit = replace(_reading(strict), path=hunk.path, line=line, has_last_newline=_newline(strict))
    others = [_reading(unset)] if unset != strict else []
    for margin in range(1, _FUZZ + 1):
        reading = _reading(_without_context(strict, margin))
        if sum(map(_is_code, reading.search.split("\n"))) > 1:
            others.append(reading)  # a single line is too little to search
    return replace(edit, otherwise=tuple(others))


def _is_code(line: str) -> bool:
    return bool(line.strip())


_Marked = Sequence[tuple[str, str]]  # " ", "+", "-" or "\\", and the text of the line


def _reading(lines: _Marked) -> Edit:
    return Edit(
        search="".join(f"{text}\n" for kind, text in lines if kind in " -"),
        replace="".join(f"{text}\n" for kind, text in lines if kind in " +"),
    )


def _newline(lines: _Marked) -> bool | None:
    r"""Read the lines that begin with a backslash: they follow a line without a newline."""
    before = {lines[i - 1][0] for i, (kind, _) in enumerate(lines) if kind == "\\" and i}
    return None if not before else before == {"-"}


def _without_context(lines: _Marked, margin: int) -> _Marked:
    """Remove up to `margin` lines of context from both ends."""
    lines = [line for line in lines if line[0] != "\\"]
    changes = [index for index, (kind, _) in enumerate(lines) if kind != " "]
    start = min(margin, changes[0])
    end = max(len(lines) - margin, changes[-1] + 1)
    return lines[start:end]


def make(before: Files, after: Files) -> str:
    """Return a unified diff that turns one version of some files into the other.

    It has no line endings: the files keep theirs. It ignores regions: `apply` refuses changes
    outside them.
    """
    parts = []
    for path, source in before.items():
        hunks = list(_made(path, Text(source), Text(after[path])))
        if hunks:
            parts += [f"--- a/{path}", f"+++ b/{path}", *hunks]
    return "".join(f"{part}\n" for part in parts)


_Opcode = tuple[Literal["replace", "delete", "insert", "equal"], int, int, int, int]


class _Anchored(SequenceMatcher[str]):
    """Matches markers of regions with each other, so that no hunk moves a marker."""

    def __init__(self, path: str, old: Sequence[str], new: Sequence[str]) -> None:
        super().__init__(None, old, new, autojunk=False)
        self._path, self._old, self._new = path, old, new

    def get_opcodes(self) -> list[_Opcode]:
        """Return the opcodes of the stretches between markers."""
        old, new = (
            [index for index, line in enumerate(lines) if is_marker(line, self._path)]
            for lines in (self._old, self._new)
        )
        if [self._old[i] for i in old] != [self._new[j] for j in new]:
            return super().get_opcodes()
        found: list[_Opcode] = []
        i = j = 0
        for k, m in zip([*old, len(self._old)], [*new, len(self._new)], strict=True):
            stretch = SequenceMatcher(None, self._old[i:k], self._new[j:m], autojunk=False)
            for kind, a, b, c, d in stretch.get_opcodes():
                _add(found, (kind, i + a, i + b, j + c, j + d))
            if k < len(self._old):
                _add(found, ("equal", k, k + 1, m, m + 1))
            i, j = k + 1, m + 1
        return found


def _add(opcodes: list[_Opcode], new: _Opcode) -> None:
    """Append an opcode, and merge adjacent equal stretches."""
    if opcodes and opcodes[-1][0] == new[0] == "equal":
        _, start, _, low, _ = opcodes.pop()
        new = ("equal", start, new[2], low, new[4])
    opcodes.append(new)


def _made(path: str, before: Text, after: Text) -> Iterator[str]:
    """Yield the lines of one file's hunks."""
    old, new = _written(before), _written(after)
    for group in _Anchored(path, old, new).get_grouped_opcodes(_CONTEXT):
        (_, start, _, low, _), (_, _, end, _, high) = group[0], group[-1]
        yield f"@@ -{_span(start, end)} +{_span(low, high)} @@"
        for kind, i, j, k, m in group:
            if kind == "equal":
                yield from (" " + line for line in old[i:j])
            else:
                yield from ("-" + line for line in old[i:j])
                yield from ("+" + line for line in new[k:m])


def _written(text: Text) -> list[str]:
    """Return the lines of a diff, with a note after a last line without a newline."""
    lines = list(text.lines)
    if lines and not text.has_last_newline:
        lines[-1] += f"\n{_NO_NEWLINE}"
    return lines


def _span(start: int, end: int) -> str:
    return f"{start + (end > start)},{end - start}"
