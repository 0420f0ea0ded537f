"""The error in a body that holds no answer: in JSON, or a web page."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from evolver.models.reading.documents import clean
from evolver.models.reading.messages import string
from evolver.models.reading.records import Complaint

_HTML = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_TITLE = re.compile(r"<(title|h1)\b[^>]*>(.*?)</\1>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def complaint_in(text: str, documents: list[Any]) -> Complaint | None:
    """Return the error that a body holds; None where it holds none."""
    if _HTML.match(text):
        return Complaint(plain(text), is_page=True)
    return _in_documents(documents)


def plain(words: str) -> str:
    """Return a text without the tags of a web page."""
    if not _HTML.match(words):
        return words
    title = _TITLE.search(words)
    return " ".join(_TAG.sub(" ", title[2] if title else words).split())


def _in_documents(documents: list[Any]) -> Complaint | None:
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
        return Complaint(string(named) or json.dumps(named)[:1000])
    words = next(
        (text for key in ("message", "detail", "msg", "error") if (text := string(named.get(key)))),
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
    return Complaint(words, clean(names), status)
