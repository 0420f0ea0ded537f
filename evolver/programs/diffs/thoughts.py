"""Remove a model's thoughts from its answer.

Models mark their thoughts by tags or by channels, and each family of models does so in its own way.
Drafts inside a thought are not part of the answer. A tag in code, in a string, or quoted in a
sentence is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evolver.errors import EditError
from evolver.programs.diffs import marks
from evolver.programs.diffs.fences import closing, is_fence

_TAG = re.compile(
    r"<\|(?:begin_of_thought|start_thinking|inner_prefix)\|>|<unused94>|<\|channel>thought\b"
    r"|(?P<end><\|(?:end_of_thought|end_thinking|inner_suffix)\|>|<unused95>|<channel\|>)"
    r"|(?:<|&lt;)\|?(?P<slash>/?)(?:\w+[:_])?(?P<name>(?:ant_?)?think(?:ing)?|thoughts?"
    r"|reason(?:ing)?|reflect(?:ion)?|scratch_?pad|analysis|monologue|cot|deliberation|internal"
    r"|brainstorm(?:ing)?|plan(?:ning)?|drafts?)(?:_\w+)?\s*\|?(?:>|&gt;)"
    r"|\[(?P<slash_>/?)(?P<name_>think(?:ing)?|(?-i:THOUGHTS?|REASONING))\](?!\()"
    r"|◁(?P<slash__>/?)(?P<name__>think)▷",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<\n]*(?:<\|constrain\|>[^<\n]*)?<\|message\|>")
_LAST_TOKENS = re.compile(r"(?:\s*<\|(?:end|return|call|start)\|>(?:assistant)?)+\s*\Z")
# The same channels, where a server drops the special tokens.
_BARE_CHANNELS = re.compile(
    r"\A\s*analysis(?=\S|\s*\n)(?:(?!assistantfinal).)*assistantfinal", re.DOTALL
)
_QUOTES = "\"'`\u201c\u201d\u2018\u2019"


@dataclass(frozen=True)
class _Tag:
    start: int
    end: int
    family: str
    closes: bool


def without_thoughts(answer: str) -> str:
    r"""Return an answer without thoughts.

    Args:
        answer: with ``\n`` alone between its lines.

    Raises:
        EditError: a thought has no end, or its end is ambiguous.
    """
    text = _final_channel(answer)
    kept = ""
    was_cut = False
    while True:
        tag = next(_outside_code(text, _tags(text)), None)
        if tag is None:
            return kept + text
        before, after = text[: tag.start], text[tag.end :]
        if tag.closes:
            if not _is_end(text, tag):
                kept, text = kept + text[: tag.end], after
            elif _has_code(kept + before) and (was_cut or not _has_code(after)):
                raise EditError(
                    f"the answer has a tag {text[tag.start : tag.end]} after its code, so thought "
                    "and answer cannot be told apart; write the answer again, after the thought"
                )
            else:
                kept, text, was_cut = "", after, True
            continue
        end = _end(text, tag)
        if end is not None:
            kept, text, was_cut = kept + before, text[end:], True
        else:  # a word in a sentence
            kept, text = kept + text[: tag.end], after


def _tags(text: str) -> list[_Tag]:
    """Return the tags that are not quoted."""
    found = []
    for match in _TAG.finditer(text):
        name = match["name"] or match["name_"] or match["name__"] or "token"
        closes = bool(match["slash"] or match["slash_"] or match["slash__"] or match["end"])
        tag = _Tag(match.start(), match.end(), name.lower()[:5], closes)
        if not _is_quoted(text, tag):
            found.append(tag)
    return found


def _is_quoted(text: str, tag: _Tag) -> bool:
    before, after = text[max(0, tag.start - 2) : tag.start], text[tag.end : tag.end + 1]
    if before[-1:] and before[-1:] in _QUOTES and after and after in _QUOTES + "\\":
        return True
    if before == "\\n" and after and after in _QUOTES:
        return True
    line = text[text.rfind("\n", 0, tag.start) + 1 : tag.start]
    return line.count("`") % 2 == 1 and not is_fence(line)


def _outside_code(text: str, tags: Sequence[_Tag], start: int = 0) -> Iterator[_Tag]:
    """Yield the tags outside blocks of code, where the text is read from `start` on."""
    spans = list(_code(text, start))
    for tag in tags:
        if tag.start >= start and not any(low <= tag.start < high for low, high in spans):
            yield tag


def _code(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield where whole fenced and SEARCH/REPLACE blocks stand."""
    lines = text[start:].split("\n")
    offsets = [start]
    for line in lines:
        offsets.append(offsets[-1] + len(line) + 1)
    index = 0
    while index < len(lines):
        last = None
        if marks.OPEN.match(lines[index]):
            last = marks.end(lines, index)
        elif is_fence(lines[index]):
            last = closing(lines, index)
        if last is not None:
            yield offsets[index], offsets[last + 1]
            index = last
        index += 1


def _has_code(text: str) -> bool:
    return any(is_fence(line) or marks.OPEN.match(line) for line in text.split("\n"))


def _end(text: str, opening: _Tag) -> int | None:
    """Return the end of the thought that a tag opens; None where it opens no thought.

    Raises:
        EditError: the thought has no end, or its end is ambiguous.
    """
    ends = [
        tag
        for tag in _tags(text)
        if tag.closes and tag.family == opening.family and tag.start >= opening.end
    ]
    found = next(_outside_code(text, ends, opening.end), None)
    is_first = not text[text.rfind("\n", 0, opening.start) + 1 : opening.start].strip()
    is_last = not text[opening.end :].split("\n", 1)[0].strip()
    if found is not None:
        is_thought = is_first or is_last or not _has_code(text[opening.end : found.start])
        return found.end if is_thought else None
    if not is_first:
        return None
    if not ends:
        raise EditError(
            f"the answer ends inside the thought that {text[opening.start : opening.end]} opens; "
            "close it, and write the answer after it"
        )
    if len(ends) > 1:
        raise EditError(
            "the end of the answer's thought is ambiguous; write the answer without thoughts"
        )
    return ends[0].end  # the thought ends in the middle of a draft


def _is_end(text: str, tag: _Tag) -> bool:
    """Tell whether a closing tag without an opening one ends a thought, or is text."""
    before, after = text[: tag.start], text[tag.end :]
    line = before[before.rfind("\n") + 1 :]
    is_last = not after.split("\n", 1)[0].strip()
    return not line.strip() or is_last or not line[-1:].isspace()


def _final_channel(text: str) -> str:
    """Return the text of the channel "final", where an answer has channels (OpenAI's harmony).

    Raises:
        EditError: it has channels, but none of that name.
    """
    bare = _BARE_CHANNELS.match(text)
    if bare is not None:
        return text[bare.end() :]
    spans = [] if text.lstrip().startswith("<|") else list(_code(text, 0))
    heads = [
        head
        for head in _CHANNEL.finditer(text)
        if not any(low <= head.start() < high for low, high in spans)
        and not _is_quoted(text, _Tag(head.start(), head.end(), "", closes=False))
    ]
    if not heads:
        return text
    ends = [*(head.start() for head in heads[1:]), len(text)]
    said = [
        _LAST_TOKENS.sub("", text[head.end() : end])
        for head, end in zip(heads, ends, strict=True)
        if head[1] == "final"
    ]
    if not said:
        raise EditError("the answer ends inside its thought: its channel 'final' is missing")
    return "\n".join(said)
