"""The answer in one document: a chat completion, or another server's format."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evolver.models.reading.documents import clean
from evolver.models.reading.messages import (
    DEEPEST,
    REASONINGS,
    arguments_of,
    end_of,
    string,
    text_of,
    usage_of,
)
from evolver.models.reading.records import Answer, Choice

_WHOLE = (
    "message",
    "delta",
    "output",
    "content",
    "text",
    "output_text",
    "response",
    "generated_text",
    "completion",
    "answer",
)  # keys of an answer without choices
_WRAPPERS = ("data", "result", "response", "body", "outputs", "output", "results", "predictions")


def answer_of(document: Any, depth: int = 0) -> Answer:
    """Return the answer in one document, without choices where it holds no answer."""
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    if not isinstance(document, dict) or depth > DEEPEST:
        return Answer()
    named = document.get("choices") or document.get("candidates") or ()
    if isinstance(named, dict) and all(key.isdecimal() for key in named):
        named = list(named.values())
    listed = named if isinstance(named, list) else [named]
    choices = [_choice(one) for one in listed]
    if not any(choices) and any(key in document for key in _WHOLE):
        named = document.get("message")  # a string here is usually a status such as "ok"
        own = {**document, "message": None} if isinstance(named, str) else document
        choices = [_choice(own)]
    found = Answer(
        tuple(choice for choice in choices if choice is not None),
        usage_of(document),
        string(document.get("model")),
    )
    if found.choices:
        return found
    for key in _WRAPPERS:
        inner = answer_of(document.get(key), depth + 1)
        if inner.choices:
            return replace(inner, usage=inner.usage or found.usage)
    return found


def _choice(choice: Any) -> Choice | None:
    """Return one answer; None where it is not recognisable as one, or is an error."""
    if isinstance(choice, str):
        return Choice(clean(choice))
    if not isinstance(choice, dict):
        return None
    message = next((choice[key] for key in ("message", "delta") if choice.get(key)), choice)
    places = [message] if isinstance(message, dict) else []
    if choice is not message:
        places.append(choice)
    text = text_of(message) if isinstance(message, str | list) else ""
    for place in places:
        text = text or next(filter(None, (text_of(place.get(key)) for key in _WHOLE)), "")
    text = text or next(filter(None, map(arguments_of, places)), "")
    reasoning = next(
        filter(None, (text_of(place.get(key)) for place in places for key in REASONINGS)), ""
    )
    is_told = any(key in place for place in places for key in ("content", "text", "refusal"))
    if not (text or reasoning or is_told) or (not text and any(p.get("error") for p in places)):
        return None
    end = end_of(choice)
    if not text and any(place.get("refusal") for place in places):
        end = "content_filter"
    return Choice(clean(text), clean(reasoning), end)
