"""Packs items with the candidate's heuristic, in its process."""

from __future__ import annotations

from typing import Any

import candidate  # the program that is being judged
import numpy as np

Array = np.ndarray[Any, Any]


def pack(function: str, items: Array, capacity: int) -> Array:
    """Pack the items one by one by the heuristic; return the number of each one's bin."""
    priority = getattr(candidate.load(), function)
    room = np.full(len(items) + 1, capacity)
    opened = 0
    bins = np.empty(len(items), dtype=np.int64)
    for index, item in enumerate(items.tolist()):
        places = np.flatnonzero(room[: opened + 1] >= item)  # the last one is empty
        chosen = places[np.argmax(priority(item, room[places]))]
        room[chosen] -= item
        opened = max(opened, int(chosen) + 1)
        bins[index] = chosen
    return bins
