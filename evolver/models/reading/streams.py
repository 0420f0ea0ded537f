"""The answer of a stream, assembled from its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evolver.models.reading.completions import answer_of
from evolver.models.reading.documents import clean
from evolver.models.reading.messages import (
    REASONINGS,
    TEXTS,
    arguments_of,
    end_of,
    string,
    text_of,
    usage_of,
)
from evolver.models.reading.records import Answer, Choice


def merged(events: list[Any]) -> Answer:
    """Assemble the answer of a stream from its events."""
    texts: dict[int, str] = {}
    thoughts: dict[int, str] = {}
    calls: dict[int, str] = {}
    ends: dict[int, str] = {}
    usage, model, is_stream = None, "", False
    for event in events:
        model = model or string(event.get("model"))
        inner = event.get("message")
        for place in (event, inner if isinstance(inner, dict) else {}):
            usage = usage_of(place) or usage
        listed = event.get("choices") or event.get("candidates")
        is_stream |= isinstance(listed, list) and bool(listed)
        for choice in listed if isinstance(listed, list) else [event]:
            if not isinstance(choice, dict):
                continue
            index = choice.get("index") if listed else 0
            index = index if isinstance(index, int) else 0
            piece = choice.get("delta") or choice.get("message") or choice
            if isinstance(piece, str):
                is_text = "reasoning" not in string(event.get("type"))
                piece = {"content" if is_text else "reasoning": piece}
            if not isinstance(piece, dict):
                continue
            content = next(
                filter(None, (text_of(piece.get(key)) for key in (*TEXTS, "response"))), ""
            )
            so_far = texts.get(index, "")
            is_whole = _is_whole(event, choice) and content.startswith(so_far)
            texts[index] = content if is_whole else so_far + content
            thought = next(filter(None, (text_of(piece.get(key)) for key in REASONINGS)), "")
            thoughts[index] = thoughts.get(index, "") + thought
            calls[index] = calls.get(index, "") + _pieces(piece)
            for place in (choice, piece):
                if (end := end_of(place)) != "stop":
                    ends[index] = end
    said = any(texts.values()) or any(thoughts.values()) or any(calls.values()) or bool(ends)
    if not said:
        # Some servers send the whole answer as one event among others.
        none = Answer((Choice(""),)) if is_stream else Answer()
        whole = next((found for found in map(answer_of, events) if found.choices), none)
        return replace(whole, usage=usage or whole.usage)
    choices = (
        Choice(
            clean(texts[index] or arguments_of({"function_call": {"arguments": calls[index]}})),
            clean(thoughts[index]),
            ends.get(index, "stop"),
        )
        for index in sorted(texts)
    )
    return Answer(tuple(choices), usage, model)


def _is_whole(event: Mapping[str, Any], choice: Mapping[str, Any]) -> bool:
    """Tell whether an event may hold the whole text that earlier events brought in pieces."""
    is_message = choice is not event and "message" in choice and not choice.get("delta")
    return is_message or string(event.get("type")).endswith(".done")


def _pieces(delta: Mapping[str, Any]) -> str:
    """Return the next piece of a tool call's arguments."""
    calls = delta.get("tool_calls")
    calls = [*(calls if isinstance(calls, list) else ()), delta.get("function_call")]
    functions = [call.get("function", call) for call in calls if isinstance(call, dict)]
    return "".join(string(one.get("arguments")) for one in functions if isinstance(one, dict))
