"""The parts of a message: its text, its tool calls, why it ended, its tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from evolver.models.reading.documents import clean, loaded
from evolver.models.reading.records import Usage

_MOST_TOKENS = 10**12  # a larger count is ignored
DEEPEST = 8  # most wrappers around an answer, or parts within parts
_NO_TEXT = re.compile(  # types of parts that are no text
    "refusal|image|audio|think|thought|reason|tool|function", re.IGNORECASE
)
TEXTS = ("content", "text", "output_text", "parts", "value")  # of a message, or of a part of it
REASONINGS = ("reasoning_content", "reasoning", "thinking", "thought", "reasoning_details")
_ENDS = {
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "safety": "content_filter",
    "prohibited_content": "content_filter",
    "blocklist": "content_filter",
    "refusal": "content_filter",
}


def text_of(value: Any, depth: int = 0) -> str:
    """Return the text of a message's content: a string, or parts of which some are text."""
    if isinstance(value, str):
        return value
    if depth > DEEPEST:
        return ""
    if isinstance(value, list):
        return "".join(text_of(part, depth + 1) for part in value)
    if not isinstance(value, dict) or _NO_TEXT.search(str(value.get("type"))):
        return ""
    if value.get("thought") is True:
        return ""
    return next(filter(None, (text_of(value.get(key), depth + 1) for key in TEXTS)), "")


def arguments_of(message: Mapping[str, Any]) -> str:
    """Return the text in the arguments of a model's tool calls."""
    calls = message.get("tool_calls")
    calls = [*(calls if isinstance(calls, list) else ()), message.get("function_call")]
    parts = message.get("content")  # in Anthropic's format
    calls += parts if isinstance(parts, list) else ()
    found: list[str] = []
    for call in calls:
        if not isinstance(call, dict):
            continue
        function = call.get("function")
        named = function if isinstance(function, dict) else call.get("custom") or call
        given = (named.get("arguments") or named.get("input")) if isinstance(named, dict) else None
        values = loaded(given) if isinstance(given, str) else given
        if isinstance(values, dict):
            found += _strings(values)
        elif isinstance(given, str):
            found.append(values if isinstance(values, str) else given)
    return "\n".join(found)


def _strings(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the strings in the arguments of a tool call."""
    if isinstance(value, str):
        yield value
    elif depth < DEEPEST and isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner, depth + 1)


def end_of(choice: Mapping[str, Any]) -> str:
    """Return why an answer ended, in OpenAI's words where they are known; "stop" by default."""
    for key in ("finish_reason", "stop_reason", "finishReason", "done_reason"):
        said = choice.get(key)
        if isinstance(said, str) and said:
            return _ENDS.get(said.lower(), clean(said.lower()))
    return "stop"


def _count(value: Any) -> int | None:
    """Return a number of tokens, which may be a string; None where it is invalid."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,15}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= _MOST_TOKENS else None


def usage_of(document: Mapping[str, Any]) -> Usage | None:
    """Return the counted tokens; None where a count is missing."""
    found = document.get("usage") or document.get("usageMetadata") or document
    if not isinstance(found, dict):
        return None

    def count(*names: str) -> int | None:
        counts = (_count(found.get(name)) for name in names)
        return next((value for value in counts if value is not None), None)

    prompt = count("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count")
    completion = count("completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count")
    total = count("total_tokens", "totalTokenCount")
    if total is not None and prompt is None and completion is not None:
        prompt = total - completion
    if total is not None and completion is None and prompt is not None:
        completion = total - prompt
    if not prompt or prompt < 0 or completion is None or completion < 0:
        return None
    details = found.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    if not (isinstance(cached, int | float) and 0 <= cached <= prompt):
        cached = 0
    return Usage(prompt, completion, int(cached))


def string(value: Any) -> str:
    """Return a string, fit to be stored; "" for any other value."""
    return clean(value) if isinstance(value, str) else ""
