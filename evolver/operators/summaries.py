"""Summaries of genetic children: the kind and the effect of each edit."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LABEL = re.compile(r"(?:^|; )([a-z_]+): ")


def labelled(kind: str, what: str) -> str:
    """Return an edit's part of a summary, beginning with its kind for `edits_of`."""
    return f"{kind}: {what}"


def summary_of(edits: Iterable[str]) -> str:
    """Return the summary of several edits, each `labelled`."""
    return "; ".join(edits)


def edits_of(summary: str) -> tuple[str, ...]:
    """Return the kinds of a child's edits, from its summary."""
    return tuple(_LABEL.findall(summary))
