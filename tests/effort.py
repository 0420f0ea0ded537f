"""How much a property test tries."""

from __future__ import annotations

from hypothesis import settings


def examples(number: int) -> settings:
    """Try so many examples of 100 that the profile allows: in the fast set a part of them."""
    return settings(max_examples=max(1, number * settings().max_examples // 100))
