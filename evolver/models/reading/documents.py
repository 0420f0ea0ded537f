"""From the bytes of a body to the JSON documents in it."""

from __future__ import annotations

import contextlib
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

_MOST_BYTES = 1 << 28  # of a decompressed body


def decoded(body: bytes) -> str:
    """Decompress and decode bytes: by their byte order mark, as UTF-8, else as Latin-1."""
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


def clean(text: str) -> str:
    """Join surrogate pairs, and replace lone surrogates."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def loaded(text: str) -> Any:
    """Parse JSON; return None for a malformed or too deeply nested text."""
    try:
        return json.loads(
            text, strict=False, object_pairs_hook=_told, parse_int=lambda digits: int(digits[:400])
        )
    except (ValueError, RecursionError):
        return None


def _told(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; a repeated key has its last value that is not empty."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key not in found or value not in (None, "", [], {}):
            found[key] = value
    return found


def documents_in(text: str) -> Iterator[Any]:
    """Yield the JSON documents of a body: one, the events of a stream, or one on each line."""
    whole = loaded(text)
    if isinstance(whole, str) and isinstance(inner := loaded(whole), dict | list):
        whole = inner
    if isinstance(whole, list) and all(isinstance(one, dict) for one in whole):
        yield from whole
        return
    if whole is not None:
        yield whole
        return
    lines = re.split("\r\n|\r|\n", text)
    found = [one for one in _events(lines) or map(loaded, lines) if isinstance(one, dict)]
    if found:
        yield from found
        return
    start = text.find("{")
    with contextlib.suppress(ValueError, RecursionError):
        while start >= 0:  # JSON with other text around it
            one, end = json.JSONDecoder(strict=False).raw_decode(text, start)
            yield one
            start = text.find("{", end)


def _events(lines: Sequence[str]) -> list[Any]:
    """Return the JSON of a stream's events; an event may span several lines."""
    found: list[Any] = []
    for has_data, group in groupby(lines, lambda line: line.startswith("data:")):
        if not has_data:
            continue
        data = [line[5:] for line in group]
        whole = loaded("\n".join(data))
        found += map(loaded, data) if whole is None else [whole]
    return found
