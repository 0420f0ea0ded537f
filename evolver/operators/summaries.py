"""Summaries of children of genetic operators: the kinds of their edits, and what they did."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LABEL = re.compile(r"(?:^|; )([a-z_]+): ")


def labelled(kind: str, what: str) -> str:
    """Return an edit's part of a summary, of which `edits_of` can tell the kind."""
    return f"{kind}: {what}"


def summary_of(edits: Iterable[str]) -> str:
    """Return the summary of several edits, each `labelled`."""
    return "; ".join(edits)


def edits_of(summary: str) -> tuple[str, ...]:
    """Return the kinds of the edits that made a child, by its summary."""
    return tuple(_LABEL.findall(summary))
