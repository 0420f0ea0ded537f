"""Read what a model's server answered, leniently: the answer is paid for, whatever its form.

A chat completion is JSON as OpenAI defined it. Servers also send lists of parts, nulls, events of a
stream that nobody asked for, the formats of other providers, or no JSON at all. `read` takes the
text wherever it stands. Where it finds none, the text is the body itself, so that nothing that
arrived is lost. It knows nothing rather than refuse: a count that is missing is unknown.
"""

from __future__ import annotations

import contextlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

_MOST_TOKENS = 10**12  # a larger count is none
_MOST_BYTES = 1 << 28  # of a body that was sent compressed
_DEEPEST = 8  # wrappers around an answer, parts within parts
_HTML = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_TITLE = re.compile(r"<(title|h1)\b[^>]*>(.*?)</\1>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_TORN = re.compile(r'"(?:content|text)"\s*:\s*"((?:[^"\\]|\\.)*)', re.DOTALL)
_NO_TEXT = re.compile(  # types of parts
    "refusal|image|audio|think|thought|reason|tool|function", re.IGNORECASE
)
_TEXTS = ("content", "text", "output_text", "parts", "value")  # of a message, or of a part of it
_REASONINGS = ("reasoning_content", "reasoning", "thinking", "thought", "reasoning_details")
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
)  # where an answer without choices stands
_WRAPPERS = ("data", "result", "response", "body", "outputs", "output", "results", "predictions")
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


@dataclass(frozen=True)
class Choice:
    """One answer.

    Attributes:
        text: "" where there is none.
        reasoning: what a model thought before it, where that stands apart.
        finish_reason: "stop", "length" where it was cut off, "content_filter" where it was
            withheld, or what else the server says.
    """

    text: str
    reasoning: str = ""
    finish_reason: str = "stop"


@dataclass(frozen=True)
class Usage:
    """How many tokens were counted; `cached` are among those of the prompt."""

    prompt: int
    completion: int
    cached: int = 0


@dataclass(frozen=True)
class Complaint:
    """An error that came where an answer should be.

    Attributes:
        words: for people.
        names: its code and its type, for programs, in lower case.
        status: the HTTP status that it names; None: it names none.
        is_page: it is a web page.
    """

    words: str
    names: str = ""
    status: int | None = None
    is_page: bool = False


@dataclass(frozen=True)
class Answer:
    """What a body says. `complaint` is None where it is an answer, and `choices` is not empty."""

    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None  # None: unknown
    model: str = ""
    complaint: Complaint | None = None


def read(body: bytes | str) -> Answer:
    """Return what a body says; any body can be read."""
    text = _clean(body if isinstance(body, str) else _decoded(body))
    documents = list(_documents(text))
    answer = _merged(documents) if len(documents) > 1 else _of(documents[0] if documents else None)
    if any(choice.text or choice.reasoning for choice in answer.choices):
        return answer
    complaint = _page(text) if _HTML.match(text) else _complaint(documents)
    if complaint is not None:
        return replace(answer, choices=(), complaint=complaint)
    if answer.choices:
        return answer
    return replace(answer, choices=(_torn(text) or Choice(text.strip()),))


def plain(words: str) -> str:
    """Return words without the tags of a web page."""
    if not _HTML.match(words):
        return words
    title = _TITLE.search(words)
    return " ".join(_TAG.sub(" ", title[2] if title else words).split())


# --- from bytes to documents ----------------------------------------------------------------------


def _decoded(body: bytes) -> str:
    """Decode bytes: unpacked, by their byte order mark, as UTF-8, else as Latin-1."""
    if body.startswith(b"\x1f\x8b"):
        with contextlib.suppress(zlib.error):
            body = zlib.decompressobj(31).decompress(body, _MOST_BYTES)
    try:
        return body.decode(json.detect_encoding(body)).removeprefix("\ufeff")
    except UnicodeDecodeError:
        pass
    text = body.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    right = sum(letter > "\x7f" for letter in text) - wrong
    return text if right > wrong else body.decode("latin-1")


def _clean(text: str) -> str:
    """Join the halves of pairs of surrogates, and replace a half that stands alone."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _loaded(text: str) -> Any:
    """Return what JSON says; None where it is none, or too deep."""
    try:
        return json.loads(
            text, strict=False, object_pairs_hook=_told, parse_int=lambda digits: int(digits[:400])
        )
    except (ValueError, RecursionError):
        return None


def _told(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; of a key that stands in it twice, the last value that says something."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key not in found or value not in (None, "", [], {}):
            found[key] = value
    return found


def _documents(text: str) -> Iterator[Any]:
    """Yield the JSON of a body: one document, the events of a stream, or one a line."""
    whole = _loaded(text)
    if isinstance(whole, str) and isinstance(inner := _loaded(whole), dict | list):
        whole = inner
    if isinstance(whole, list) and all(isinstance(one, dict) for one in whole):
        yield from whole
        return
    if whole is not None:
        yield whole
        return
    lines = re.split("\r\n|\r|\n", text)
    found = [one for one in _events(lines) or map(_loaded, lines) if isinstance(one, dict)]
    if found:
        yield from found
        return
    start = text.find("{")
    with contextlib.suppress(ValueError, RecursionError):
        while start >= 0:  # with something before or behind it
            one, end = json.JSONDecoder(strict=False).raw_decode(text, start)
            yield one
            start = text.find("{", end)


def _events(lines: Sequence[str]) -> list[Any]:
    """Return the JSON of the events of a stream; one may go over several lines."""
    found: list[Any] = []
    for has_data, group in groupby(lines, lambda line: line.startswith("data:")):
        if not has_data:
            continue
        data = [line[5:] for line in group]
        whole = _loaded("\n".join(data))
        found += map(_loaded, data) if whole is None else [whole]
    return found


def _torn(text: str) -> Choice | None:
    """Return what is there of the text of an answer whose JSON ends in the middle."""
    found = _TORN.search(text) if text.lstrip()[:1] in ("{", "[") else None
    if found is None or _loaded(text) is not None:
        return None
    for lost in range(7):  # an escape that was cut off has up to six letters
        said = _loaded(f'"{found[1][: len(found[1]) - lost]}"')
        if isinstance(said, str):
            return Choice(_clean(said), finish_reason="length") if said.strip() else None
    return None


# --- from a document to an answer -----------------------------------------------------------------


def _of(document: Any, depth: int = 0) -> Answer:
    """Return the answer of one document; without choices where it holds none."""
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    if not isinstance(document, dict) or depth > _DEEPEST:
        return Answer()
    named = document.get("choices") or document.get("candidates") or ()
    if isinstance(named, dict) and all(key.isdecimal() for key in named):
        named = list(named.values())
    listed = named if isinstance(named, list) else [named]
    choices = [_choice(one) for one in listed]
    if not any(choices) and any(key in document for key in _WHOLE):
        named = document.get("message")  # "ok", as a rule, where it is no message
        own = {**document, "message": None} if isinstance(named, str) else document
        choices = [_choice(own)]
    found = Answer(
        tuple(choice for choice in choices if choice is not None),
        _usage(document),
        _said(document.get("model")),
    )
    if found.choices:
        return found
    for key in _WRAPPERS:
        inner = _of(document.get(key), depth + 1)
        if inner.choices:
            return replace(inner, usage=inner.usage or found.usage)
    return found


def _choice(choice: Any) -> Choice | None:
    """Return one answer; None where nothing says that it is one, or it is an error."""
    if isinstance(choice, str):
        return Choice(_clean(choice))
    if not isinstance(choice, dict):
        return None
    message = next((choice[key] for key in ("message", "delta") if choice.get(key)), choice)
    places = [message] if isinstance(message, dict) else []
    if choice is not message:
        places.append(choice)
    text = _text(message) if isinstance(message, str | list) else ""
    for place in places:
        text = text or next(filter(None, (_text(place.get(key)) for key in _WHOLE)), "")
    text = text or next(filter(None, map(_arguments, places)), "")
    reasoning = next(
        filter(None, (_text(place.get(key)) for place in places for key in _REASONINGS)), ""
    )
    is_told = any(key in place for place in places for key in ("content", "text", "refusal"))
    if not (text or reasoning or is_told) or (not text and any(p.get("error") for p in places)):
        return None
    end = _end(choice)
    if not text and any(place.get("refusal") for place in places):
        end = "content_filter"
    return Choice(_clean(text), _clean(reasoning), end)


def _text(value: Any, depth: int = 0) -> str:
    """Return the text of a message's content: a string, or parts of which some are text."""
    if isinstance(value, str):
        return value
    if depth > _DEEPEST:
        return ""
    if isinstance(value, list):
        return "".join(_text(part, depth + 1) for part in value)
    if not isinstance(value, dict) or _NO_TEXT.search(str(value.get("type"))):
        return ""
    if value.get("thought") is True:
        return ""
    return next(filter(None, (_text(value.get(key), depth + 1) for key in _TEXTS)), "")


def _arguments(message: Mapping[str, Any]) -> str:
    """Return the text that a model handed to a tool instead of saying it."""
    calls = message.get("tool_calls")
    calls = [*(calls if isinstance(calls, list) else ()), message.get("function_call")]
    parts = message.get("content")  # as Anthropic has them
    calls += parts if isinstance(parts, list) else ()
    found: list[str] = []
    for call in calls:
        if not isinstance(call, dict):
            continue
        function = call.get("function")
        named = function if isinstance(function, dict) else call.get("custom") or call
        given = (named.get("arguments") or named.get("input")) if isinstance(named, dict) else None
        values = _loaded(given) if isinstance(given, str) else given
        if isinstance(values, dict):
            found += _strings(values)
        elif isinstance(given, str):
            found.append(values if isinstance(values, str) else given)
    return "\n".join(found)


def _strings(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts in what was handed to a tool."""
    if isinstance(value, str):
        yield value
    elif depth < _DEEPEST and isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner, depth + 1)


def _end(choice: Mapping[str, Any]) -> str:
    for key in ("finish_reason", "stop_reason", "finishReason", "done_reason"):
        said = choice.get(key)
        if isinstance(said, str) and said:
            return _ENDS.get(said.lower(), _clean(said.lower()))
    return "stop"


def _count(value: Any) -> int | None:
    """Return a number of tokens, in digits perhaps; None where it is none."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,15}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= _MOST_TOKENS else None


def _usage(document: Mapping[str, Any]) -> Usage | None:
    """Return what was counted, where the whole of it is told."""
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


def _merged(events: list[Any]) -> Answer:
    """Put the answer of a stream together from its events."""
    texts: dict[int, str] = {}
    thoughts: dict[int, str] = {}
    calls: dict[int, str] = {}
    ends: dict[int, str] = {}
    usage, model, is_stream = None, "", False
    for event in events:
        model = model or _said(event.get("model"))
        inner = event.get("message")
        for place in (event, inner if isinstance(inner, dict) else {}):
            usage = _usage(place) or usage
        listed = event.get("choices") or event.get("candidates")
        is_stream |= isinstance(listed, list) and bool(listed)
        for choice in listed if isinstance(listed, list) else [event]:
            if not isinstance(choice, dict):
                continue
            index = choice.get("index") if listed else 0
            index = index if isinstance(index, int) else 0
            piece = choice.get("delta") or choice.get("message") or choice
            if isinstance(piece, str):
                is_text = "reasoning" not in _said(event.get("type"))
                piece = {"content" if is_text else "reasoning": piece}
            if not isinstance(piece, dict):
                continue
            content = next(
                filter(None, (_text(piece.get(key)) for key in (*_TEXTS, "response"))), ""
            )
            so_far = texts.get(index, "")
            is_whole = _is_whole(event, choice) and content.startswith(so_far)
            texts[index] = content if is_whole else so_far + content
            thought = next(filter(None, (_text(piece.get(key)) for key in _REASONINGS)), "")
            thoughts[index] = thoughts.get(index, "") + thought
            calls[index] = calls.get(index, "") + _pieces(piece)
            for place in (choice, piece):
                if (end := _end(place)) != "stop":
                    ends[index] = end
    said = any(texts.values()) or any(thoughts.values()) or any(calls.values()) or bool(ends)
    if not said:
        # Some servers send the whole answer as one event among others.
        none = Answer((Choice(""),)) if is_stream else Answer()
        whole = next((found for found in map(_of, events) if found.choices), none)
        return replace(whole, usage=usage or whole.usage)
    choices = (
        Choice(
            _clean(texts[index] or _arguments({"function_call": {"arguments": calls[index]}})),
            _clean(thoughts[index]),
            ends.get(index, "stop"),
        )
        for index in sorted(texts)
    )
    return Answer(tuple(choices), usage, model)


def _is_whole(event: Mapping[str, Any], choice: Mapping[str, Any]) -> bool:
    """Tell whether an event may repeat what others brought in pieces."""
    is_message = choice is not event and "message" in choice and not choice.get("delta")
    return is_message or _said(event.get("type")).endswith(".done")


def _pieces(delta: Mapping[str, Any]) -> str:
    """Return the next piece of what a stream hands to a tool."""
    calls = delta.get("tool_calls")
    calls = [*(calls if isinstance(calls, list) else ()), delta.get("function_call")]
    functions = [call.get("function", call) for call in calls if isinstance(call, dict)]
    return "".join(_said(one.get("arguments")) for one in functions if isinstance(one, dict))


def _said(value: Any) -> str:
    return _clean(value) if isinstance(value, str) else ""


# --- errors ---------------------------------------------------------------------------------------


def _page(text: str) -> Complaint:
    return Complaint(plain(text), is_page=True)


def _complaint(documents: list[Any]) -> Complaint | None:
    """Return the error that documents hold; None where they hold none."""
    for document in documents:
        if isinstance(document, list) and document:
            document = document[0]
        if isinstance(document, dict) and (found := _error(document)) is not None:
            return found
    return None


def _error(document: Mapping[str, Any]) -> Complaint | None:
    errors = document.get("errors")
    named = document.get("error") or (errors[0] if isinstance(errors, list) and errors else None)
    choices = document.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not named and isinstance(choice, dict):
            named = choice.get("error")
    kinds = (document.get("object"), document.get("type"))
    is_error = "error" in kinds or any(key in document for key in ("detail", "error_code"))
    is_error |= document.get("success") is False or document.get("status") in ("fail", "failed")
    if not named and (is_error or (document.get("message") and document.get("code"))):
        named = document
    if not named:
        return None
    if not isinstance(named, dict):
        return Complaint(_said(named) or json.dumps(named)[:1000])
    words = next(
        (text for key in ("message", "detail", "msg", "error") if (text := _said(named.get(key)))),
        json.dumps(named)[:1000],
    )
    names = " ".join(str(named.get(key, "")) for key in ("code", "type", "status")).lower()
    status = next(
        (
            int(str(named[key]))
            for key in ("code", "status", "status_code")
            if re.fullmatch(r"[45]\d\d", str(named.get(key, "")))
        ),
        None,
    )
    return Complaint(words, _clean(names), status)
