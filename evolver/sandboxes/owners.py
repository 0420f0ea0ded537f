"""Who owns a container: so that what a killed process left behind is found, and nothing else."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path


def this_process() -> str:
    """Return a name of this process that no other ever had: host, pid namespace, pid, start."""
    return f"{_host()}:{os.getpid()}:{_start(os.getpid())}"


def is_dead(owner: str) -> bool:
    """Is a process surely gone? One of another host, or of a name never given, is not."""
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    if host != _host() or not rest.isdigit():
        return False
    return Path("/proc/self").exists() and _start(int(rest)) != owner.rpartition(":")[2]


def _host() -> str:
    """Name this host, and the process namespace that a pid counts in."""
    with contextlib.suppress(OSError):
        return f"{socket.gethostname()}/{Path('/proc/self/ns/pid').stat().st_ino}"
    return socket.gethostname()  # without a /proc nobody is ever known to be dead


def _start(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; "" where there is none."""
    try:
        # Behind the command's name, which may hold anything, it is the 20th word.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
