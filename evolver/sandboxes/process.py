"""Protects processes that hold secrets from candidates that run beside them."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def protect_process() -> None:
    """Prevent other processes of this user from reading this one's memory and environment.

    Controller and workers call it before they start others: it holds for the process, not for its
    children, and an exec undoes it. Outside Linux it only forbids core dumps.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; outside Linux, do nothing.

    The kernel does so when the thread that started this process ends.

    Args:
        parent: the parent's pid; if it is dead already, this process ends at once.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the process that started this one is gone")
