"""The parts of a model's answer: its prose, its fences, its path lines."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from evolver.errors import EditError

_SUMMARY_LENGTH = 300  # characters
_THOUGHT = re.compile(r"\A\s*(?:<think(?:ing)?>)?.*?</think(?:ing)?>", re.DOTALL)
_FENCE = re.compile(r"[ \t]*(?P<ticks>`{3,}|~{3,})[ \t]*(?P<info>[^`]*)$")
_BLOCK_OR_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,}|<{5,}[ \t]*SEARCH\b)", re.MULTILINE)


_PLACEHOLDER = re.compile(
    r"[ \t]*(?:#|//|/?\*|--|;|%|<!--)?[ \t(\[]*(?:\.\.\.|…).*"
    r"\b(?:rest|remain\w*|unchanged|existing|same|previous|omitted|before|other)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Fence:
    """A fenced block: the lines inside it, and what stands beside its opening."""

    lines: tuple[str, ...]
    info: str  # after the opening ticks: a language, or a path
    above: str  # the last line above that is not blank


def answer_lines(answer: str) -> list[str]:
    r"""Return the answer's lines, without a leading thought and with ``\n`` alone between them."""
    return _THOUGHT.sub("", answer, count=1).replace("\r\n", "\n").split("\n")


def summary(answer: str) -> str:
    """Return the first paragraph of prose before any code, at most 300 characters of it."""
    text = "\n".join(answer_lines(answer))
    code = _BLOCK_OR_FENCE.search(text)
    prose = text if code is None else text[: code.start()]
    for paragraph in re.split(r"\n\s*\n", prose):
        words = " ".join(paragraph.strip("#*>- \n\t").split())
        if words and path_in(words) is None:
            return words if len(words) <= _SUMMARY_LENGTH else words[: _SUMMARY_LENGTH - 1] + "…"
    return ""


def check_nothing_left_out(lines: Iterable[str], known: Collection[str]) -> None:
    """Refuse new code that says that some of it stays as it was.

    Args:
        lines: the new code.
        known: the lines that it replaces; what stands there already is no placeholder.

    Raises:
        EditError: a line stands for code that is not written.
    """
    for line in lines:
        if _PLACEHOLDER.match(line) and line not in known:
            raise EditError(
                f"the line {line.strip()[:60]!r} leaves code out; write all of it, "
                "nothing is filled in"
            )


def is_fence(line: str) -> bool:
    """Does this line open or close a fenced block?"""
    return _FENCE.match(line) is not None


def fences(lines: Sequence[str]) -> list[Fence]:
    """Return the fenced blocks; a fence with a language inside another one nests.

    Raises:
        EditError: the last fence is never closed.
    """
    found: list[Fence] = []
    opened: tuple[int, re.Match[str]] | None = None
    depth = 0
    for index, line in enumerate(lines):
        fence = _FENCE.match(line)
        if fence is None:
            continue
        if opened is None:
            opened, depth = (index, fence), 1
            continue
        outer = opened[1]["ticks"]
        if fence["ticks"][0] != outer[0] or len(fence["ticks"]) < len(outer):
            continue
        depth += 1 if fence["info"].strip() else -1
        if depth == 0:
            start, first = opened
            body = tuple(lines[start + 1 : index])
            found.append(Fence(body, first["info"].strip(), line_above(lines, start)))
            opened = None
    if opened is not None:
        raise EditError("the answer ends inside a fenced code block: it was cut off")
    return found


def line_above(lines: Sequence[str], index: int) -> str:
    """Return the last line before `index` that is neither blank nor a fence."""
    for line in reversed(lines[:index]):
        if line.strip() and not is_fence(line):
            return line.strip()
    return ""


def path_in(line: str, known: Collection[str] = ()) -> str | None:
    """Return the path that a line consists of, whatever marks stand around it; None: prose."""
    bare = re.sub(r"^(?:file|path)(?:name)?\s*:\s*", "", line.strip("#/*`\"': \t"), flags=re.I)
    bare = bare.strip("*`\"': \t")
    for candidate in (line.strip(), bare):
        if candidate in known:
            return candidate
    is_path_like = re.fullmatch(r"[\w.@+/-]+", bare) and re.search(r"[./]", bare.rstrip("."))
    return bare if is_path_like else None


def resolve_path(path: str, known: Collection[str]) -> str | None:
    """Return the known path that is meant: itself, or the only one with that ending."""
    if path in known:
        return path
    ending = "/" + path.removeprefix("./").lstrip("/")
    matches = [other for other in known if ("/" + other).endswith(ending)]
    return matches[0] if len(matches) == 1 else None
