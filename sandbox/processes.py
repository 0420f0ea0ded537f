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


def proportional_memory(pid: int) -> int:
    """Return the bytes in memory of a process, where shared pages count as their share.

    Raises:
        PermissionError: it hides them; as those do that are dead, or still ours.
    """
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def nameless_files(pid: int) -> dict[tuple[int, int], int]:
    """Return the files that a process holds open and that no folder has: identity -> bytes.

    Raises:
        PermissionError: as `proportional_memory`.
    """
    sizes = {}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat()
                if status.st_nlink == 0 and stat.S_ISREG(status.st_mode):
                    sizes[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sizes


def is_hiding(pid: int) -> bool:
    """Is this a live candidate, and not one that is still ours or that is dead already?"""
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
