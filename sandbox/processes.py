"""What /proc tells of processes, for where no control group and no namespace does the counting."""

from __future__ import annotations

import contextlib
import os
import resource
import stat
from pathlib import Path

_MIB = 1 << 20


def descendants(pid: int) -> list[int]:
    """Return the pids of all processes below `pid`, nearest first."""
    found: list[int] = []
    queue = [pid]
    while queue:
        try:
            text = Path(f"/proc/{queue[0]}/task/{queue.pop(0)}/children").read_text()
        except OSError:
            continue
        children = [int(word) for word in text.split()]
        found += children
        queue += children
    return found


def tasks_of(uid: int) -> int:
    """Count the threads of a user; RLIMIT_NPROC counts them all, whoever started them."""
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == uid:
                    count += len(os.listdir(f"/proc/{entry.name}/task"))  # noqa: PTH208
    return count


def memory_of_this_process() -> int:
    """Return the size of the address space in bytes."""
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return pages * resource.getpagesize()
    return 512 * _MIB  # no /proc: more than Python with numpy takes


def holdings(pid: int, *, memory: bool) -> tuple[int, dict[tuple[int, int], int]]:
    """Return what a process takes that no folder shows.

    Args:
        pid: a candidate, or one that it started.
        memory: is its memory wanted too? Else it is given as 0.

    Returns:
        Bytes in memory, shared pages counted as their share; and the files that it holds open and
        that have no name any more, identity -> bytes.

    Raises:
        PermissionError: it lets nobody look.
    """
    for is_last in (False, True):
        try:
            return (_proportional_memory(pid) if memory else 0), _nameless_files(pid)
        except PermissionError:
            # Nobody can look into the dead either, nor into what is about to become a candidate:
            # that one may just have become one, so only the second time counts.
            if not _is_hiding(pid):
                break
            if is_last:
                raise
    return 0, {}


def _proportional_memory(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _nameless_files(pid: int) -> dict[tuple[int, int], int]:
    sizes = {}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat()
                if status.st_nlink == 0 and stat.S_ISREG(status.st_mode):
                    sizes[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sizes


def _is_hiding(pid: int) -> bool:
    """Is this process bound by a filter of system calls, and alive?"""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/status").read_text()
        return "\nSeccomp:\t2" in text and "\nVmSize:" in text
    return False


def offer_to_oom_killer() -> None:
    """Let the kernel, where memory is short, kill this process and its children first.

    Before the zygote above all, which may well be the largest process of its group.
    """
    # A fork pays for every page that it is the first to write to: `Path.write_text` takes 120.
    with contextlib.suppress(OSError):
        file = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(file, b"1000")
        os.close(file)
