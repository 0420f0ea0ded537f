"""What a process that holds secrets does for itself before candidates run beside it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def protect_process() -> None:
    """Let no other process of this user read the memory and environment of this one.

    Controller and workers call it before they start anything: it holds for the process, not for
    its children, and is undone by an exec. Outside Linux it only forbids core dumps.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent is gone, however that came about.

    It is the death of the thread that started this process that counts. Nothing is done outside
    Linux.

    Args:
        parent: its pid; if this process has another parent by now, it ends at once.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the process that started this one is gone")
