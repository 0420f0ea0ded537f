"""Bodies that servers send where a chat completion is expected, and the text that is in them."""

from __future__ import annotations

import gzip
import json
from typing import Any

from hypothesis import strategies as st
from llm_answers import Reply

PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>...</body></html>"


def error_in_200(**error: Any) -> Reply:
    """An error where an answer should be."""
    return Reply(body=json.dumps({"error": error}).encode())


def said(text: Any, **more: Any) -> bytes:
    """A chat completion with this content, whatever it is."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    return json.dumps({"choices": [choice], "usage": usage, **more}).encode()


def streamed(*pieces: str) -> bytes:
    """The same as server-sent events, which were not asked for."""
    events = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1}})
    lines = [": processing", *(f"data: {json.dumps(event)}" for event in events), "data: [DONE]"]
    return "\n\n".join(lines).encode()


def message(**fields: Any) -> bytes:
    return json.dumps({"choices": [{"message": fields}]}).encode()


CALL = {"function": {"name": "edit", "arguments": '{"edit": "hello"}'}}
# Answers in every form, all of them paid for, and the text that is in them.
ANSWERS = {
    "parts": (said([{"type": "text", "text": "hel"}, {"type": "image_url", "image_url": {}},
                    {"type": "text", "text": "lo"}, {"type": "refusal", "refusal": "no"}]),
              "hello"),
    "strings as parts": (said(["hel", "lo"]), "hello"),
    "one part": (said({"type": "text", "text": "hello"}), "hello"),
    "usage is null": (said("hello", usage=None), "hello"),
    "usage has nulls": (said("hello", usage={"prompt_tokens": None, "completion_tokens": None,
                                             "prompt_tokens_details": None}), "hello"),
    "usage is a word": (said("hello", usage="much"), "hello"),
    "usage is absurd": (said("hello", usage={"prompt_tokens": -3, "completion_tokens": 1e400}),
                        "hello"),
    "choices is one": (b'{"choices": {"message": {"content": "hello"}}}', "hello"),
    "no role, no finish_reason": (message(content="hello"), "hello"),
    "no message": (b'{"choices": [{"text": "hello"}]}', "hello"),
    "a string for a message": (b'{"choices": [{"message": "hello"}]}', "hello"),
    "no choices": (b'{"message": {"role": "assistant", "content": "hello"}}', "hello"),
    "anthropic": (b'{"type": "message", "content": [{"type": "thinking", "thinking": "hm"}, '
                  b'{"type": "text", "text": "hello"}], "stop_reason": "end_turn"}', "hello"),
    "gemini": (b'{"candidates": [{"content": {"parts": [{"text": "hello"}]}, '
               b'"finishReason": "STOP"}]}', "hello"),
    "responses": (b'{"output": [{"type": "reasoning", "summary": []}, {"type": "message", '
                  b'"content": [{"type": "output_text", "text": "hello"}]}]}', "hello"),
    "wrapped": (b'{"code": 0, "message": "ok", "data": ' + said("hello") + b"}", "hello"),
    "generated_text": (b'[{"generated_text": "hello"}]', "hello"),
    "a tool call": (message(content=None, tool_calls=[CALL]), "hello"),
    "a function call": (message(content=None, function_call=CALL["function"]), "hello"),
    "a thought, and nothing": (message(content=None, reasoning_content="so it is"), ""),
    "a thought that holds the answer": (
        message(content=None, reasoning_content="Thus:\n```\nhello\n```"),
        "Thus:\n```\nhello\n```",
    ),
    "null": (message(content=None), ""),
    "a surrogate": (b'{"choices": [{"message": {"content": "hell\\ud83do"}}]}', "hell\ufffdo"),
    "a pair in two pieces": (b'data: {"choices": [{"delta": {"content": "\\ud83e"}}]}\n\n'
                             b'data: {"choices": [{"delta": {"content": "\\udd8e"}}]}\n', "🦎"),
    "control characters": (b'{"choices": [{"message": {"content": "hel\nlo"}}]}', "hel\nlo"),
    "events": (streamed("hel", "lo"), "hello"),
    "events in Windows' lines": (streamed("hel", "lo").replace(b"\n", b"\r\n"), "hello"),
    "events that end early": (streamed("hel", "lo")[:-60], "hello"),
    "the whole in one event": (b"data: " + said("hello"), "hello"),
    "anthropic's events": (
        b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": '
        b'{"type": "text_delta", "text": "hello"}}\n\nevent: message_stop\n'
        b'data: {"type": "message_stop"}\n', "hello"),
    "a document a line": (b'{"message": {"content": "hel"}, "done": false}\n'
                          b'{"message": {"content": "lo"}, "done": true}\n', "hello"),
    "a byte order mark": (b"\xef\xbb\xbf" + said("hello"), "hello"),
    "UTF-16": (said("hello").decode().encode("utf-16"), "hello"),
    "Latin-1": (json.dumps(json.loads(said("él")), ensure_ascii=False).encode("latin-1"), "él"),
    "one broken byte": ('{"choices": [{"message": {"content": "→→'.encode() + b'\xff"}}]}',
                        "→→\ufffd"),
    "packed, and not said": (gzip.compress(said("hello")), "hello"),
    "blank lines before": (b"\n\n   " + said("hello"), "hello"),
    "a guard before": (b")]}'\n" + said("hello"), "hello"),
    "cut in the middle": (b'{"choices": [{"message": {"content": "hello\\nthere\\u00',
                          "hello\nthere"),
    "a null before": (b'{"choices": [null, {"message": {"content": "hello"}}]}', "hello"),
    "choices by number": (b'{"choices": {"0": {"message": {"content": "hello"}}}}', "hello"),
    "keys twice": (b'{"choices": [{"message": {"content": "hello", "content": null}}], '
                   b'"choices": null}', "hello"),
    "thoughts among the parts": (
        said([{"type": "reasoning_text", "text": "hm"}, {"type": "text", "text": "hello"}]),
        "hello"),
    "a number without end": (said("hello").replace(b": 5,", b": " + b"5" * 5000 + b","), "hello"),
    "a tool of Anthropic's": (message(content=[{"type": "tool_use", "input": {"edit": "hello"}}]),
                              "hello"),
    "a tool of one's own": (message(tool_calls=[{"custom": {"input": "hello"}}]), "hello"),
    "a deep tool call": (message(tool_calls=[{"function": {
        "arguments": '{"edits": [{"text": "hel"}, {"text": "lo"}]}'}}]), "hel\nlo"),
    "JSON in a string": (json.dumps(said("hello").decode()).encode(), "hello"),
    "an event over several lines": (
        b'data: {"choices": [\ndata: {"delta": {"content": "hello"}}]}\n\ndata: [DONE]\n', "hello"),
    "events that end in old lines": (streamed("hel", "lo").replace(b"\n", b"\r"), "hello"),
    "the whole after its pieces": (streamed("hel", "lo") + b"\n\ndata: " + said("hello"), "hello"),
    "OpenAI's newer events": (
        b'data: {"type": "response.output_text.delta", "delta": "hel"}\n\n'
        b'data: {"type": "response.output_text.delta", "delta": "lo"}\n\n'
        b'data: {"type": "response.output_text.done", "text": "hello"}\n', "hello"),
    "Gemini's events": (
        b'data: {"candidates": [{"content": {"parts": [{"text": "hel"}]}}]}\n\n'
        b'data: {"candidates": [{"content": {"parts": [{"text": "lo"}]}}]}\n', "hello"),
    "events in a list": (b'[{"choices": [{"delta": {"content": "hel"}}]}, '
                         b'{"choices": [{"delta": {"content": "lo"}}]}]', "hello"),
    "documents in a row": (b'{"choices": [{"delta": {"content": "hel"}}]}'
                           b'{"choices": [{"delta": {"content": "lo"}}]}', "hello"),
    "events that say nothing": (streamed(), ""),
    "no JSON": (b"hello there", "hello there"),
    "no answer that is known": (b'{"greeting": 1}', '{"greeting": 1}'),
    "no choice": (b'{"choices": []}', '{"choices": []}'),
    "deep": (b"[" * 100_000, "[" * 100_000),
    "empty": (b"", ""),
}  # fmt: skip

_WORDS = st.sampled_from(
    ["choices", "message", "delta", "content", "text", "role", "finish_reason", "usage", "error",
     "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "type", "code",
     "cached_tokens", "tool_calls", "function", "arguments", "reasoning_content", "refusal", "data",
     "output", "candidates", "parts", "index", "model", "object", "errors", "status", "response"]
)  # fmt: skip
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=8)
    | _WORDS
)
# Any JSON, of the words that answers are made of.
BODIES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_WORDS | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=25,
)
