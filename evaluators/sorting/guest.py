"""Runs the candidate's compiled sort in its process, and passes on each comparison.

Several sorts run at once, each in a thread that waits in a comparison for the next call from the
evaluator, and each with its own copy of the library, so that they share no variables.
"""

from __future__ import annotations

import ctypes
import queue
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

_COMPARISON = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)


class _Sort:
    """One running sort."""

    def __init__(self, library: Path, function: str, count: int) -> None:
        self._sort = getattr(ctypes.CDLL(str(library)), function)
        self._asked: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._count = count
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        order = (ctypes.c_int * self._count)()
        self._sort(self._count, order, _COMPARISON(self._compare))
        self._asked.put(list(order))

    def _compare(self, one: int, other: int) -> int:
        self._asked.put([one, other])
        return self._answers.get()

    def answer(self, is_before: int) -> None:
        self._answers.put(int(is_before))

    def asked(self) -> list[int]:
        """Wait for the next pair to compare, or for the order at the end."""
        return self._asked.get()


_sorts: list[_Sort] = []


def begin(library: str, function: str, count: int, sorts: int) -> list[list[int]]:
    """Start sorts; return the request of each: a pair to compare, or the order."""
    for number in range(sorts):
        copy = Path(f"{number}-{library}").resolve()
        shutil.copy(library, copy)
        _sorts.append(_Sort(copy, function, count))
    return [sort.asked() for sort in _sorts]


def answer(answers: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Answer sorts by number; return the next request of each of them."""
    for number, is_before in answers:
        _sorts[number].answer(is_before)
    return [_sorts[number].asked() for number, _ in answers]
