"""Reads /proc: children, CPU time and memory of processes, where no control group counts them."""

from __future__ import annotations

import contextlib
import os
import resource
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

_MIB = 1 << 20
_UNKNOWN = 8 * _MIB  # assumed size of a file whose size only root may read
SOCKET = 1 << 18  # bytes that may lie in a socket, unread
_CPUCLOCK_SCHED = 2  # of the clocks that a pid has, the scheduler's
_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")  # nanoseconds

_Seen = TypeVar("_Seen")
_Identity = tuple[int, int]  # of a file: its device and its inode


def descendants(pid: int) -> list[int]:
    """Return the pids of all processes below `pid`, nearest first."""
    found: list[int] = []
    queue = [pid]
    while queue:
        for children in _children(queue.pop(0)):
            found += children
            queue += children
    return found


def all_processes() -> list[int]:
    """Return the pids of all visible processes."""
    with contextlib.suppress(OSError):
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    return []


def _children(pid: int) -> Iterator[list[int]]:
    """Yield the pids that each thread of a process is the parent of."""
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{pid}/task/{thread}/children").read_text()
                yield [int(word) for word in text.split()]


def cpu_below(pid: int) -> int:
    """Return the CPU time of all processes below `pid` in nanoseconds.

    Ended threads count, and children that were waited for, these in hundredths of a second. A child
    whose parent ignores SIGCHLD is lost; a control group would count it.
    """
    taken = 0
    for one in descendants(pid):
        with contextlib.suppress(OSError, IndexError):
            taken += time.clock_gettime_ns((~one << 3) | _CPUCLOCK_SCHED)
            # The third field comes behind the name, which may hold any characters.
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            taken += (int(fields[13]) + int(fields[14])) * _TICK
    return taken


def waited_below(pid: int) -> int:
    """Return the nanoseconds that this process and all below `pid` waited for a processor.

    The sum over all living threads; 0 if the kernel does not count it.
    """
    waited = 0
    for one in ("self", *descendants(pid)):
        with contextlib.suppress(OSError, IndexError):
            for thread in os.listdir(f"/proc/{one}/task"):  # noqa: PTH208
                text = Path(f"/proc/{one}/task/{thread}/schedstat").read_text()
                waited += int(text.split()[1])
    return waited


def processor_below(pid: int) -> int:
    """Return the processor that the oldest child of a process was on last; -1: unknown."""
    with contextlib.suppress(OSError, IndexError):
        oldest = min(child for children in _children(pid) for child in children[:1])
        return int(Path(f"/proc/{oldest}/stat").read_text().rpartition(")")[2].split()[36])
    return -1


def tasks_of(uid: int) -> int:
    """Count all threads of a user, as RLIMIT_NPROC does."""
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


@dataclass(frozen=True)
class Holdings:
    """The memory and the nameless files of a process.

    Attributes:
        private: bytes of its anonymous pages, including those shared with its parent.
        shared: bytes of mapped pages of files in memory.
        tables: bytes of its page tables.
        files: open or mapped files without a name: device and inode -> bytes.
        sockets: inodes of its open sockets.
        sends: are open files in flight in its sockets, where no process holds them?
    """

    private: int = 0
    shared: int = 0
    tables: int = 0
    files: dict[_Identity, int] = field(default_factory=dict)
    sockets: frozenset[int] = frozenset()
    sends: bool = False


def holdings(pid: int, *, memory: bool) -> Holdings:
    """Return the memory and the nameless files of a process.

    Args:
        pid: a candidate's process.
        memory: measure its memory too; else it is 0.

    Raises:
        PermissionError: it cannot be inspected.
    """

    def look() -> Holdings:
        opened, sockets, sends = _opened_files(pid)
        taken = _resident(pid) if memory else (0, 0, 0)
        return Holdings(*taken, {**_mapped_files(pid), **opened}, sockets, sends)

    return _look_into(pid, look, Holdings())


def _look_into(pid: int, look: Callable[[], _Seen], nothing: _Seen) -> _Seen:
    """Return the result of `look`; `nothing` if the process is dead or not yet a candidate.

    Raises:
        PermissionError: it cannot be inspected.
    """
    for is_last in (False, True):
        try:
            return look()
        except PermissionError:
            # A dead process cannot be inspected either, nor one that is about to become a
            # candidate. It may just have become one, so only the second failure counts.
            if not _is_hiding(pid):
                break
            if is_last:
                raise
    return nothing


def _resident(pid: int) -> tuple[int, int, int]:
    """Return the bytes of anonymous pages, of shared pages, and of page tables.

    A page of several processes counts in each.
    """
    sizes = _sizes(f"/proc/{pid}/status")
    return sizes.get("RssAnon", 0), sizes.get("RssShmem", 0), sizes.get("VmPTE", 0)


def share_of(pid: int) -> tuple[int, int]:
    """Return the bytes of anonymous and of shared pages, each page divided by its processes.

    Raises:
        PermissionError: it cannot be inspected.
    """
    nothing: dict[str, int] = {}
    sizes = _look_into(pid, lambda: _sizes(f"/proc/{pid}/smaps_rollup"), nothing)
    if "Pss_Anon" not in sizes:  # before Linux 5.4: with files of libraries
        return sizes.get("Pss", 0), 0
    return sizes["Pss_Anon"], sizes["Pss_Shmem"]


def taken_in(pid: int, folders: Sequence[str]) -> dict[int, int]:
    """Return device -> bytes used, for the file systems that a process has at these folders.

    Raises:
        PermissionError: it cannot be inspected.
    """

    def look() -> dict[int, int]:
        taken = {}
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for folder in folders:
                place = f"/proc/{pid}/root{folder}"
                about = os.statvfs(place)
                taken[os.stat(place).st_dev] = (about.f_blocks - about.f_bfree) * about.f_frsize  # noqa: PTH116
        return taken

    return _look_into(pid, look, {})


def _sizes(path: str) -> dict[str, int]:
    """Return name -> bytes from the lines "Name: 12 kB" of a file of /proc."""
    sizes = {}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(path).read_text().splitlines():
            name, _, size = line.partition(":")
            if size.endswith(" kB"):
                sizes[name] = int(size[:-3]) * 1024
    return sizes


def _opened_files(pid: int) -> tuple[dict[_Identity, int], frozenset[int], bool]:
    """Return its open files without a name, its sockets, and whether files are in flight."""
    sizes, sockets, sends = {}, set(), False
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat()
                if status.st_nlink == 0 and stat.S_ISREG(status.st_mode):
                    sizes[status.st_dev, status.st_ino] = status.st_blocks * 512
                elif stat.S_ISSOCK(status.st_mode):
                    sockets.add(status.st_ino)
                    about = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_bytes()
                    sends |= b"scm_fds:" in about and b"scm_fds: 0\n" not in about
    return sizes, frozenset(sockets), sends


def _mapped_files(pid: int) -> dict[_Identity, int]:
    """Return the mapped files without a name, closed ones included.

    Only root can read their sizes.
    """
    sizes = {}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/maps").read_bytes().splitlines():
            if not line.endswith(b" (deleted)") or line.endswith(b" /dev/zero (deleted)"):
                continue  # /dev/zero is memory that processes share
            extent, _, _, device, inode = line.split(maxsplit=5)[:5]
            major, minor = (int(part, 16) for part in device.split(b":"))
            try:
                place = f"/proc/{pid}/map_files/{extent.decode()}"
                size = os.stat(place).st_blocks * 512  # noqa: PTH116
            except OSError:
                size = _UNKNOWN
            sizes[os.makedev(major, minor), int(inode)] = size
    return sizes


def _is_hiding(pid: int) -> bool:
    """Is this process bound by a filter of system calls, and alive?"""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/status").read_text()
        return "\nSeccomp:\t2" in text and "\nVmSize:" in text
    return False


def offer_to_oom_killer() -> None:
    """Have the kernel kill this process and its children first when memory is short.

    Otherwise it may choose the zygote, often the largest process of its group.
    """
    # A fork copies each page that it writes to: `Path.write_text` writes to 120.
    with contextlib.suppress(OSError):
        file = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(file, b"1000")
        os.close(file)
