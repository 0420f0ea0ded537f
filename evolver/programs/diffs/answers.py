"""The parts of a model's answer: its lines, its prose, its path lines."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from evolver.errors import EditError
from evolver.programs.diffs.thoughts import without_thoughts

_SUMMARY_LENGTH = 300  # characters
_CODE = re.compile(  # a fence, an edit block, the head of a unified diff
    r"^[ \t]*(?:`{3,}|~{3,}|<{5,}[ \t]*SEARCH\b)|^--- \S.*\n\+\+\+ \S", re.MULTILINE
)


_PLACEHOLDER = re.compile(
    r"[ \t]*(?:#|//|/?\*|--|;|%|<!--)?[ \t(\[]*(?:\.\.\.|…).*"
    r"\b(?:rest|remain\w*|unchanged|existing|same|previous|omitted|before|other)\b",
    re.IGNORECASE,
)


def answer_lines(answer: str) -> list[str]:
    r"""Return the answer's lines without its thoughts.

    Lines end in ``\n`` or ``\r\n``. In an answer without ``\n``, they end in ``\r``.

    Raises:
        EditError: a thought has no end, or its end is ambiguous.
    """
    text = answer.replace("\r\n", "\n").removeprefix("\ufeff")
    text = text if "\n" in text else text.replace("\r", "\n")
    return without_thoughts(text).split("\n")


def summary(answer: str) -> str:
    """Return at most 300 characters of the first paragraph of prose before any code."""
    text = "\n".join(answer_lines(answer))
    code = _CODE.search(text)
    prose = text if code is None else text[: code.start()]
    for paragraph in re.split(r"\n\s*\n", prose):
        words = " ".join(paragraph.strip("#*>- \n\t").split())
        if words and path_in(words) is None:
            return words if len(words) <= _SUMMARY_LENGTH else words[: _SUMMARY_LENGTH - 1] + "…"
    return ""


def check_nothing_left_out(lines: Iterable[str], known: Collection[str]) -> None:
    """Raise where new code has a placeholder for lines that stay as they were.

    Args:
        lines: the new code.
        known: the lines of the old code; a line of these is no placeholder.

    Raises:
        EditError: a line is a placeholder.
    """
    for line in lines:
        if _PLACEHOLDER.match(line) and line not in known:
            raise EditError(
                f"the line {line.strip()[:60]!r} leaves code out; write all of it, "
                "because nothing is filled in"
            )


def path_in(line: str, known: Collection[str] = ()) -> str | None:
    """Return the path that a line consists of, without marks around it; None for prose."""
    bare = re.sub(r"^(?:file|path)(?:name)?\s*:\s*", "", line.strip("#/*`\"': \t"), flags=re.I)
    bare = bare.strip("*`\"': \t")
    for candidate in (line.strip(), bare):
        if candidate in known:
            return candidate
    is_path_like = re.fullmatch(r"[\w.@+/-]+", bare) and re.search(r"[./]", bare.rstrip("."))
    return bare if is_path_like else None


def resolve_path(path: str, known: Collection[str]) -> str | None:
    """Return the known path that is equal, or the only one with that ending."""
    if path in known:
        return path
    ending = "/" + path.removeprefix("./").lstrip("/")
    matches = [other for other in known if ("/" + other).endswith(ending)]
    return matches[0] if len(matches) == 1 else None
