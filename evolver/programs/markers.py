"""Markers of editable regions: comment lines of their own. Pure functions on bytes.

A marker is ``EVOLVE-BLOCK-START`` or ``EVOLVE-BLOCK-END`` in a comment of the file's language,
alone on its line. A name of one word may follow, after a space or a colon. In a string, in code, or
in the middle of a sentence the words are text. A malformed marker is an error: without it, the
whole file would be evolved.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from evolver.errors import UsageError
from evolver.programs.languages import COMMON, Syntax, ending, syntax, tokens

_NAME = rb"[\w.\x80-\xff-]+"
_MARKER = re.compile(
    rb"[ \t]*EVOLVE-BLOCK-(?P<word>START|END)"
    rb"(?:(?:[ \t]*:[ \t]*|[ \t]+)(?P<name>" + _NAME + rb")?)?[ \t]*"
)
_HYPHEN = rb"(?:[\s_-]|\xe2\x80[\x90-\x95])"  # and dashes that look like it
_ALIKE = (
    rb"(?:(?i:evolve"
    + _HYPHEN
    + rb"*blocks?"
    + _HYPHEN
    + rb"*(?:start|begin|end|stop))(?![a-zA-Z])"
    rb"|EVOLVE[_-]BLOCK|EVOLVE[_-](?:START|END)\b)"
)
_MENTION = re.compile(_ALIKE)
# A sentence that goes on after the words is text, not a malformed marker.
_NEAR_MISS = re.compile(rb"[\W_]*" + _ALIKE)
_BARE = re.compile(rb"[^\w\r\n]*EVOLVE-BLOCK-(?:START|END)\b(?:[ \t:]+[\w.-]+)?[^\w\r\n]*")
# Older runs took these words for a marker anywhere in a line.
_OLDER = re.compile(rb"EVOLVE-BLOCK-(?P<word>START|END)\b[ \t]*(?P<name>[\w.-]*)")
_NEWLINE = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Marker:
    """A line that begins or ends an editable region.

    Attributes:
        is_start: does it begin a region?
        name: "" for none.
        start: offset of the line.
        end: offset behind the line's ending.
        number: of the line, from 1.
    """

    is_start: bool
    name: str
    start: int
    end: int
    number: int


@dataclass(frozen=True)
class _Slip:
    """A malformed marker."""

    number: int
    line: str
    reason: str


def markers(path: str, source: bytes, *, is_recorded: bool = False) -> tuple[Marker, ...]:
    """Return the markers of a file, in order.

    Args:
        path: of the file.
        source: its content.
        is_recorded: does a run hold it? Then malformed markers are read as older runs read them.

    Raises:
        UsageError: a marker is malformed, and `is_recorded` is false.
    """
    found, slip = _read(ending(path), source)
    if is_recorded:
        return found
    if slip is not None:
        raise UsageError(
            f"{path}:{slip.number}: '{slip.line}' looks like a marker of an editable region but is "
            f"malformed: {slip.reason}. Write {_example(path)} on a line of its own"
        )
    return found


def is_marker(line: str, path: str = "") -> bool:
    """Tell whether a line is a marker in a file of this name.

    Without a path, a comment of any language counts.
    """
    if "EVOLVE-BLOCK-" not in line:
        return False
    found, slip = _read(ending(path), line.encode("utf-8", "surrogateescape"))
    return bool(found) and slip is None


def _example(path: str) -> str:
    shape = syntax(ending(path))
    if shape.is_text or shape is COMMON:
        return "EVOLVE-BLOCK-START or EVOLVE-BLOCK-END in a comment"
    opening, closing = (shape.line[0], "") if shape.line else shape.block[0]
    sign = opening.upper() if opening.isalpha() else opening.rstrip()
    first, last = (f"{sign} EVOLVE-BLOCK-{word} {closing}".rstrip() for word in ("START", "END"))
    return f"'{first}' (and a name of one word, if you like) or '{last}'"


@lru_cache(
    maxsize=512
)  # each candidate is looked up several times, and as the parent of its children
def _read(end: str, source: bytes) -> tuple[tuple[Marker, ...], _Slip | None]:
    """Return the markers, malformed ones of older runs among them, and the first malformed one."""
    found: list[Marker] = []
    slip: _Slip | None = None
    is_known = syntax(end) is not COMMON
    comments: list[_Token] | None = None
    done, number = 0, 1
    for mention in _MENTION.finditer(source):
        if mention.start() < done:
            continue  # on a line already read
        start = max(source.rfind(sign, 0, mention.start()) for sign in (b"\n", b"\r")) + 1
        number += len(source[done:start].splitlines())
        newline = _NEWLINE.search(source, mention.start())
        done = len(source) if newline is None else newline.end()
        line = source[start:done]
        if not is_known:
            read = _of_line(line, mention.start() - start)
        else:
            comments = comments or list(tokens(end, source))
            read = _of_token(line, mention.start() - start, start, source, comments, end)
        if isinstance(read, str):
            text = line.removeprefix(_BOM).decode("utf-8", "replace").strip()[:80]
            slip = slip or _Slip(number, text, read)
            read = _OLDER.search(line)
        if read is not None:
            name = (read["name"] or b"").decode("utf-8", "replace")
            found.append(Marker(read["word"] == b"START", name, start, done, number))
        number += 1
    return tuple(found), slip


_Token = tuple[int, int, bool]  # start, end, whether it is a comment
_Reading = re.Match[bytes] | str | None  # a marker, why it is malformed, or text


def _of_token(
    line: bytes, at: int, start: int, source: bytes, found: Sequence[_Token], end: str
) -> _Reading:
    """Read a line with the words of a marker, in a language of known syntax."""
    place = start + at
    index = bisect_right(found, place, key=lambda token: token[0]) - 1
    if index < 0 or place >= found[index][1]:
        bare = line.removeprefix(_BOM).strip()
        if syntax(end).is_text and (marker := _MARKER.fullmatch(bare)):
            return marker
        is_meant = _BARE.fullmatch(bare) is not None
        return "it is not in a comment of this language" if is_meant else None
    first, last, is_comment = found[index]
    if not is_comment:
        return None
    first += len(source[first:last]) - len(source[first:last].lstrip(b" \t"))
    inner = _inner(source[first:last], syntax(end))
    marker = _MARKER.fullmatch(inner)
    is_alone = (
        first >= start
        and last <= start + len(line)
        and not source[start:first].removeprefix(_BOM).strip()
        and not source[last : start + len(line)].strip()
    )
    if marker is not None and is_alone:
        return marker
    if _NEAR_MISS.match(inner) is None:
        return None
    return _reason(inner, is_alone=is_alone)


def _of_line(line: bytes, at: int) -> _Reading:
    """Read a line with the words of a marker, in an unknown language."""
    text = line.removeprefix(_BOM).strip()
    inners = [_inner(text, COMMON, sign) for sign in _signs(text)]
    for inner in inners:
        if marker := _MARKER.fullmatch(inner):
            return marker
    for inner in inners:
        if _NEAR_MISS.match(inner):
            return _reason(inner, is_alone=True)
    if _BARE.fullmatch(text):
        return "it is not in a comment"
    before = line[:at].rstrip()
    signs = [sign.encode() for sign in COMMON.line if sign not in ("'", '"')]
    signs += [opening.encode() for opening, _ in COMMON.block]
    if before.endswith(tuple(signs)) and _MARKER.match(line, at):
        return "something else stands on its line"
    return None


def _signs(text: bytes) -> Iterator[tuple[str, str]]:
    """Yield the signs at both ends of a comment."""
    for opening, closing in COMMON.block:
        if text.startswith(opening.encode()) and text.endswith(closing.encode()):
            yield opening, closing
    for sign in COMMON.line:
        if text.lower().startswith(sign.encode()):
            yield sign, ""


def _inner(comment: bytes, shape: Syntax, signs: tuple[str, str] | None = None) -> bytes:
    """Return the text of a comment without its signs."""
    pairs = [*shape.block, *((sign, "") for sign in shape.line)] if signs is None else [signs]
    for opening, closing in sorted(pairs, key=lambda pair: -len(pair[0])):
        first, last = opening.encode(), closing.encode()
        if comment[: len(first)].lower() == first and comment.endswith(last):
            said = comment[len(first) : len(comment) - len(last)]
            # Signs may be repeated: ;; in Lisp, /// and /** in C.
            said = said.lstrip(first[-1:]) if not first.isalpha() else said
            return (said.rstrip(last[:1]) if last else said).strip()
    return comment.strip()


def _reason(inner: bytes, *, is_alone: bool) -> str:
    if not is_alone:
        return "something else stands on its line"
    after = re.match(rb"EVOLVE-BLOCK-(?:START|END)(?P<rest>.*)", inner, re.DOTALL)
    if after is None or after["rest"][:1] in (b"_", b"-", b"."):
        return "it is misspelled"
    return "only a name of one word may follow, after a space or a colon"
