"""Runs the candidate's compiled sort, which asks for every comparison, in the candidate's process.

Several sorts run at once, each in a thread that waits in a comparison for the next call from
outside, and each in a copy of the library: they share no variables.
"""

import ctypes
import queue
import shutil
import threading
from pathlib import Path

_COMPARISON = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)


class _Sort:
    """One sort under way."""

    def __init__(self, library, function, count):
        self._sort = getattr(ctypes.CDLL(str(library)), function)
        self._asked, self._answers = queue.SimpleQueue(), queue.SimpleQueue()
        self._count = count
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        order = (ctypes.c_int * self._count)()
        self._sort(self._count, order, _COMPARISON(self._compare))
        self._asked.put(list(order))

    def _compare(self, one, other):
        self._asked.put([one, other])
        return self._answers.get()

    def answer(self, is_before):
        self._answers.put(int(is_before))

    def asked(self):
        """Wait for the next pair to be compared, or the order at the end."""
        return self._asked.get()


_sorts = []


def begin(library, function, count, sorts):
    """Start sorts; return what each asks: a pair to be compared, or the order."""
    for number in range(sorts):
        copy = Path(f"{number}-{library}").resolve()
        shutil.copy(library, copy)
        _sorts.append(_Sort(copy, function, count))
    return [sort.asked() for sort in _sorts]


def answer(answers):
    """Answer those sorts that asked, by number; return what each of them asks next."""
    for number, is_before in answers:
        _sorts[number].answer(is_before)
    return [_sorts[number].asked() for number, _ in answers]
