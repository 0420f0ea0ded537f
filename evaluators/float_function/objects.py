"""Looks into what gcc made of a program in C, before any of it runs."""

from __future__ import annotations

import struct

from evolver.errors import CandidateOutputError

_SYMBOLS, _ALLOCATED, _EXECUTABLE = 2, 2, 4  # a section's type; flags of sections
_UNWINDING = (b".eh_frame", b".note")
# What gcc calls to copy or clear a local array, and to find the program's own data.
_HARMLESS = {b"memcpy", b"memset", b"memmove", b"_GLOBAL_OFFSET_TABLE_"}


def check(content: bytes, tables: int) -> None:
    """Check an object file: it calls nothing, runs nothing by itself, and holds few constants.

    Args:
        content: an ELF file of 64 bits, little-endian.
        tables: bytes of constants and variables allowed.

    Raises:
        CandidateOutputError: it is otherwise; the message says what.
    """
    try:
        sections = _sections(content)
        called = _undefined(content, sections) - _HARMLESS
    except (struct.error, IndexError, ValueError):
        raise CandidateOutputError("gcc made no object file of it") from None
    if called:
        names = ", ".join(sorted(name.decode("utf-8", "replace") for name in called))
        raise CandidateOutputError(f"it calls {names}: the function is to be computed by itself")
    held = 0
    for name, _, flags, _, size, _ in sections:
        if name.startswith((b".init", b".fini", b".preinit", b".ctors", b".dtors")) and size:
            raise CandidateOutputError(
                "it has code that runs before it is called, which may not be"
            )
        if flags & _ALLOCATED and not flags & _EXECUTABLE and not name.startswith(_UNWINDING):
            held += size
    if held > tables:
        raise CandidateOutputError(
            f"it holds {held} bytes of constants and variables; {tables} are allowed"
        )


_Section = tuple[bytes, int, int, int, int, int]  # name, type, flags, offset, size, link


def _sections(content: bytes) -> list[_Section]:
    """Read the table of sections (System V ABI, chapter 4)."""
    if content[:6] != b"\x7fELF\x02\x01":
        raise ValueError("no such file")
    (start,) = struct.unpack_from("<Q", content, 40)
    size, count, names = struct.unpack_from("<HHH", content, 58)
    headers = [struct.unpack_from("<IIQQQQI", content, start + i * size) for i in range(count)]
    text = headers[names][4]
    return [
        (_text(content, text + name), kind, flags, offset, length, link)
        for name, kind, flags, _, offset, length, link in headers
    ]


def _undefined(content: bytes, sections: list[_Section]) -> set[bytes]:
    """Return the names that the file uses and does not define."""
    found = set()
    for _, kind, _, offset, size, link in sections:
        if kind == _SYMBOLS:
            names = sections[link][3]
            for place in range(offset, offset + size, 24):
                name, _, _, section = struct.unpack_from("<IBBH", content, place)
                if section == 0 and name:
                    found.add(_text(content, names + name))
    return found


def _text(content: bytes, start: int) -> bytes:
    return content[start : content.index(b"\0", start)]
