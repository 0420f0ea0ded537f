"""Owners of containers: identifies the containers that a killed process left."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path


def this_process() -> str:
    """Return a unique name of this process: host, pid namespace, pid, start."""
    return f"{_host()}:{os.getpid()}:{_start(os.getpid())}"


def is_dead(owner: str) -> bool:
    """Is an owner certainly dead? False for another host or namespace, or a malformed name."""
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    if host != _host() or not rest.isdigit():
        return False
    return Path("/proc/self").exists() and _start(int(rest)) != owner.rpartition(":")[2]


def _host() -> str:
    """Name this host, and the process namespace that a pid counts in."""
    with contextlib.suppress(OSError):
        return f"{socket.gethostname()}/{Path('/proc/self/ns/pid').stat().st_ino}"
    return socket.gethostname()  # without a /proc no process is known to be dead


def _start(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; "" if there is none."""
    try:
        # The 20th word behind the command's name, which may hold any characters.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
