"""Typographic characters that a model, or a program on the way, writes for plain ones.

Lines that differ in these characters only are a near miss. Where there is only one such match, the
edit is applied: repeated lines keep the file's characters, and in new lines the characters that the
search shows to be slips become plain again. Everything else stays as the model wrote it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_SPACES = (
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u202f\u205f\u3000"
)
_SINGLE = "\u2018\u2019\u201a\u201b\u2032\u2035\u02bc\u00b4\uff07"
_DOUBLE = "\u201c\u201d\u201e\u201f\u2033\u2036\u00ab\u00bb\uff02"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_NOTHING = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff\ufe0f"
_PLAIN = str.maketrans({
    **dict.fromkeys(_SPACES, " "),
    **dict.fromkeys(_SINGLE, "'"),
    **dict.fromkeys(_DOUBLE, '"'),
    **dict.fromkeys(_DASHES, "-"),
    **dict.fromkeys(_NOTHING, ""),
    "\u2026": "...",
})  # fmt: skip


def plain(line: str) -> str:
    """Return a line with plain quotes, dashes, dots and spaces, without zero-width characters."""
    return line if line.isascii() else unicodedata.normalize("NFC", line.translate(_PLAIN))


def mended(search: Sequence[str], found: Sequence[str], replace: Sequence[str]) -> list[str]:
    """Return new lines in the characters of the file.

    Args:
        search: lines as the model wrote them.
        found: the lines of the file that they match, as many.
        replace: the new lines as the model wrote them.
    """
    slips = {
        ord(character): _PLAIN[ord(character)]
        for wanted, line in zip(search, found, strict=True)
        for character in wanted
        if ord(character) in _PLAIN and character not in line
    }
    repeated = {plain(line).strip(): line.strip() for line in found}
    lines = []
    for line in replace:
        code = plain(line)
        kept = repeated.get(code.strip())
        if kept:
            lines.append(code[: len(code) - len(code.lstrip())] + kept)
        else:
            lines.append(line.translate(slips))
    return lines
