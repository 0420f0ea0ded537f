"""Words for people: what came from elsewhere is shown as it is, and cannot act on a terminal."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

# What a terminal obeys instead of showing it, and what changes the order of what is read: control
# characters but for newline and tab, marks of direction, what has no width, parts of characters.
_HIDDEN = (
    "\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
)
_PATTERN = re.compile(f"[{_HIDDEN}]")
_PATTERN_OF_A_LINE = re.compile(f"[\t\n{_HIDDEN}]")


def visible(text: str) -> str:
    r"""Return a text with its control characters written as Python does, such as ``\x1b``.

    Newlines and tabs stay. Every text that is printed for people goes through here.
    """
    return _PATTERN.sub(_escape, text.replace("\r\n", "\n"))


def visible_line(text: str) -> str:
    """Return a text as one line, its newlines shown too."""
    return _PATTERN_OF_A_LINE.sub(_escape, text)


def visible_json(text: str) -> str:
    r"""Return JSON in which no control character stands: ``\u001b`` is the same to who reads it."""
    return _PATTERN.sub(_escape_in_json, text)


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")


def _escape_in_json(match: re.Match[str]) -> str:
    units = match.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun: 1 evaluation, 2 evaluations."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def with_output(text: str, printed: str) -> str:
    """Return a message with the end of what the program printed; that may be ""."""
    return f"{text}\nit printed, at the end:\n{printed}" if printed else text


def shell(*words: str | Path) -> str:
    """Write a command as a shell reads it, names with spaces or signs in quotes.

    A path that begins with a dash is written so that the command takes it for no option.
    """
    return shlex.join(
        f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word)
        for word in words
    )
