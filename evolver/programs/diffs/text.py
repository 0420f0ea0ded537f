"""A file as lines that keep their endings."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

from evolver.errors import EditError

_BOM = "\ufeff"


@dataclass(frozen=True)
class Part:
    """Lines that replace others."""

    start: int
    end: int
    lines: list[str]


class Text:
    r"""The lines of one file.

    Only ``\n`` and ``\r\n`` end a line, and bytes that are not UTF-8 are kept, so that unchanged
    lines keep every byte. A byte order mark is kept too, and is not part of the first line.

    Attributes:
        lines: without their endings.
        has_last_newline: whether the last one has an ending too.
    """

    def __init__(self, source: bytes) -> None:
        text = source.decode("utf-8", "surrogateescape")
        self._bom = _BOM if text.startswith(_BOM) else ""
        parts = text[len(self._bom) :].split("\n")
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
        """Replace the lines from `start` up to `end`."""
        self.lines[start:end] = lines
        self._endings[start:end] = [self._ending] * len(lines)

    def with_parts(self, parts: Sequence[Part], has_last_newline: bool | None) -> bytes:
        """Return the file with some lines replaced.

        Args:
            parts: in order.
            has_last_newline: None: as it has now.

        Raises:
            EditError: as `encode`.
        """
        changed = copy(self)
        changed.lines, changed._endings = list(self.lines), list(self._endings)
        if has_last_newline is not None:
            changed.has_last_newline = has_last_newline
        for part in reversed(parts):
            changed.replace(part.start, part.end, part.lines)
        return changed.encode()

    def encode(self) -> bytes:
        """Return the file.

        Raises:
            EditError: a line holds a character that UTF-8 cannot encode.
        """
        text = "".join(map("".join, zip(self.lines, self._endings, strict=True)))
        if self.lines and not self.has_last_newline:
            text = text.removesuffix(self._endings[-1])
        return _encode(self._bom + text)

    def encode_lines(self, lines: Sequence[str]) -> bytes:
        """Return lines with this file's line ending after each.

        Raises:
            EditError: as `encode`.
        """
        return _encode("".join(line + self._ending for line in lines))


def _encode(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise EditError("the new code holds characters that UTF-8 cannot encode") from None
