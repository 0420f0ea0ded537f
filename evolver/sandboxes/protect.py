"""Keeps other processes of the same user out of the ones that hold keys and answers."""

from __future__ import annotations

import ctypes
import sys

_PR_SET_DUMPABLE = 4


def protect_process() -> None:
    """Make this process undumpable: no peer may trace it or read its memory and environment.

    Does nothing where there is no prctl(2), that is outside Linux.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
