"""Checks the object file of a program in C before any of it runs."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from typing import NamedTuple

from evolver.errors import CandidateOutputError

_SYMBOLS, _ALLOCATED, _EXECUTABLE = 2, 2, 4  # type of a section; flags of sections
_OBJECT, _FILE, _UNDEFINED, _RESERVED = 1, 4, 0, 0xFF00  # symbol types; special section numbers
_ORDINARY = {
    0,
    _OBJECT,
    2,
    3,
    _FILE,
}  # no thread-local symbols, and none that is chosen at load time
# gcc calls these to copy or clear a local array, and to find the program's own data.
_HARMLESS = {b"memcpy", b"memset", b"memmove", b"_GLOBAL_OFFSET_TABLE_"}


def check(
    content: bytes,
    *,
    calls: Collection[bytes] = (),
    tables: int | None = None,
    code: int | None = None,
) -> None:
    """Check that an object file calls only allowed functions, and runs nothing when it is loaded.

    Args:
        content: an ELF file of 64 bits, little-endian.
        calls: functions that it may call, besides its own.
        tables: bytes of constants and variables allowed, in all sections; None for any.
        code: bytes of code allowed; None for any.

    Raises:
        CandidateOutputError: it is no object file, or does not meet these conditions.
    """
    try:
        sections = _sections(content)
        symbols = _symbols(content, sections)
        misplaced = [one.name for one in symbols if _is_misplaced(one, sections)]
    except (struct.error, IndexError, ValueError):
        raise CandidateOutputError("gcc wrote no valid object file for the program") from None
    called = {one.name for one in symbols if one.section == _UNDEFINED and one.name}
    if called := called - _HARMLESS - set(calls):
        raise CandidateOutputError(
            f"it calls {_listed(called)}, which is not allowed: write that computation yourself"
        )
    if misplaced:
        raise CandidateOutputError(
            f"{_listed(misplaced)} is in a section that is not for data; remove its attribute"
        )
    _check_sizes(sections, tables, code)


def _check_sizes(sections: list[_Section], tables: int | None, code: int | None) -> None:
    held = compiled = 0
    for name, _, flags, _, size, _ in sections:
        if name.startswith((b".init", b".fini", b".preinit", b".ctors", b".dtors")) and size:
            raise CandidateOutputError(
                "constructors and initialisers are not allowed: they run before the function"
            )
        if flags & _ALLOCATED:
            compiled += size if flags & _EXECUTABLE else 0
            held += 0 if flags & _EXECUTABLE else size
    if tables is not None and held > tables:
        raise CandidateOutputError(
            f"it holds {held} bytes of constants and variables; {tables} are allowed"
        )
    if code is not None and compiled > code:
        raise CandidateOutputError(
            f"it is {compiled} bytes of code when compiled; {code} are allowed: unroll less"
        )


_Section = tuple[bytes, int, int, int, int, int]  # name, type, flags, offset, size, link


def _sections(content: bytes) -> list[_Section]:
    """Read the table of sections (System V ABI, chapter 4)."""
    if content[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    (start,) = struct.unpack_from("<Q", content, 40)
    size, count, names = struct.unpack_from("<HHH", content, 58)
    headers = [struct.unpack_from("<IIQQQQI", content, start + i * size) for i in range(count)]
    text = headers[names][4]
    return [
        (_text(content, text + name), kind, flags, offset, length, link)
        for name, kind, flags, _, offset, length, link in headers
    ]


class _Symbol(NamedTuple):
    name: bytes
    kind: int
    section: int


def _symbols(content: bytes, sections: list[_Section]) -> list[_Symbol]:
    """Read the tables of symbols."""
    found = []
    for _, kind, _, offset, size, link in sections:
        if kind == _SYMBOLS:
            names = sections[link][3]
            for place in range(offset, offset + size, 24):
                name, info, _, section = struct.unpack_from("<IBBH", content, place)
                found.append(_Symbol(_text(content, names + name), info & 15, section))
    return found


def _is_misplaced(symbol: _Symbol, sections: list[_Section]) -> bool:
    """Return whether a symbol is data in a section of code or in none: `tables` misses it."""
    if symbol.section >= _RESERVED:
        return symbol.kind != _FILE
    flags = sections[symbol.section][2]
    return symbol.kind not in _ORDINARY or (
        symbol.kind == _OBJECT and (not flags & _ALLOCATED or bool(flags & _EXECUTABLE))
    )


def _listed(names: Iterable[bytes]) -> str:
    return ", ".join(sorted(name.decode("utf-8", "replace") for name in names))


def _text(content: bytes, start: int) -> bytes:
    return content[start : content.index(b"\0", start)]
