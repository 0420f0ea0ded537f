"""A file as lines that remember their endings, and the rule of where it may change."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evolver.edits import Region
from evolver.errors import EditError

_MARKER = re.compile(r"EVOLVE-BLOCK-(?:START|END)\b")


def is_marker(line: str) -> bool:
    """Does this line begin or end an editable region?"""
    return _MARKER.search(line) is not None


class Text:
    r"""The lines of one file.

    Only ``\n`` and ``\r\n`` end a line, and bytes that are no UTF-8 survive, so that lines which
    nobody touches stay as they are to the byte.

    Attributes:
        lines: without their endings.
        has_last_newline: whether the last one has an ending too.
    """

    def __init__(self, source: bytes) -> None:
        parts = source.decode("utf-8", "surrogateescape").split("\n")
        self.has_last_newline = parts[-1] == ""
        if self.has_last_newline:
            parts.pop()
        self.lines = [part.removesuffix("\r") for part in parts]
        self._endings = ["\r\n" if part.endswith("\r") else "\n" for part in parts]
        is_crlf = 2 * source.count(b"\r\n") > source.count(b"\n")
        self._ending = "\r\n" if is_crlf else "\n"
        if parts and not self.has_last_newline:
            # A last line without an ending may well end in a lone carriage return.
            self.lines[-1], self._endings[-1] = parts[-1], self._ending

    def replace(self, start: int, end: int, lines: Sequence[str]) -> None:
        """Put other lines in place of those from `start` up to `end`."""
        self.lines[start:end] = lines
        self._endings[start:end] = [self._ending] * len(lines)

    def encode(self) -> bytes:
        """Return the file.

        Raises:
            EditError: a line holds a character that UTF-8 has no bytes for.
        """
        text = "".join(map("".join, zip(self.lines, self._endings, strict=True)))
        if self.lines and not self.has_last_newline:
            text = text.removesuffix(self._endings[-1])
        return _encode(text)

    def encode_lines(self, lines: Sequence[str]) -> bytes:
        """Return other lines with this file's line ending after each.

        Raises:
            EditError: as `encode`.
        """
        return _encode("".join(line + self._ending for line in lines))

    def is_editable(self, start: int, end: int, regions: Sequence[Region]) -> bool:
        """Do the lines from `start` up to `end` lie inside one of the file's regions?"""
        first, last = self._offset(start), self._offset(end)
        return any(region.start <= first and last <= region.end for region in regions)

    def _offset(self, index: int) -> int:
        before = "".join(map("".join, zip(self.lines[:index], self._endings[:index], strict=True)))
        size = len(before.encode("utf-8", "surrogateescape"))
        if index == len(self.lines) and self.lines and not self.has_last_newline:
            size -= len(self._endings[-1])
        return size


def _encode(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise EditError("the new code holds characters that UTF-8 cannot encode") from None
