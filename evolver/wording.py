"""Text for people. Text from elsewhere is escaped, so that it cannot control a terminal."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

# Characters that control a terminal, change the reading order or are invisible: control characters
# except newline and tab, marks of direction, characters without width, surrogates.
_HIDDEN = (
    "\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
)
_PATTERN = re.compile(f"[{_HIDDEN}]")
_PATTERN_OF_A_LINE = re.compile(f"[\t\n{_HIDDEN}]")


def visible(text: str) -> str:
    r"""Return a text with its control characters written as Python does, such as ``\x1b``.

    Newlines and tabs stay. Every text that is printed for people passes through here.
    """
    return _PATTERN.sub(_escape, text.replace("\r\n", "\n"))


def visible_line(text: str) -> str:
    """Return a text as one line, with its newlines escaped too."""
    return _PATTERN_OF_A_LINE.sub(_escape, text)


def visible_json(text: str) -> str:
    r"""Return JSON of the same value with its control characters escaped, such as ``\u001b``."""
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
    """Return a message, followed by the end of the program's output if there is any."""
    return f"{text}\nit printed, at the end:\n{printed}" if printed else text


def shell(*words: str | Path) -> str:
    """Write a command for a shell, with quotes where they are needed.

    A path that begins with a dash is written so that it is not read as an option.
    """
    return shlex.join(
        f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word)
        for word in words
    )
