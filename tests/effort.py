"""How much a property test tries, and how late a busy machine may be."""

from __future__ import annotations

from hypothesis import settings

LATE = 5.0  # seconds; what is meant to hang, sleeps or loops longer than that


def examples(number: int) -> settings:
    """Try so many examples of 100 that the profile allows: in the fast set a part of them."""
    return settings(max_examples=max(1, number * settings().max_examples // 100))
