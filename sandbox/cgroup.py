"""One control group for all candidates of a runner: memory and processes, counted together.

A resource limit holds for each process alone; only a group limits 64 processes of 1 GiB. The group
is made once and serves one candidate after another: one for each evaluation would cost 2 ms.

Both versions of the interface: https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

_PREFIX = "evolver-"
_ROUNDS, _PAUSE = 100, 0.01  # tries to empty or remove a group; seconds between them
_YOUNG = 3600  # seconds
_FILES = {  # controller: (file of version 1, file of version 2)
    "memory": ("memory.limit_in_bytes", "memory.max"),
    "pids": ("pids.max", "pids.max"),
}
_CLOCKS = ("cpuacct.usage", "cpu.stat")  # the file of version 1, of version 2


class Group:
    """A control group, with the controllers that this host lets us use.

    Args:
        memory: bytes of all processes together.
        processes: most processes and threads.
    """

    _events: int | None = None  # descriptor of the file that counts what the kernel killed

    def __init__(self, memory: int, processes: int) -> None:
        self._folders: dict[str, Path] = {}
        limits = {"memory": memory, "pids": processes}
        for controller, (old, new) in _FILES.items():
            folder = self._find(controller, (old, new))
            if folder is None:
                continue
            self._folders[controller] = folder
            name = old if (folder / old).exists() else new
            (folder / name).write_text(str(limits[controller]))
        clock = self._find("cpuacct", _CLOCKS)
        if clock is not None:
            self._folders["cpuacct"] = clock
        with contextlib.suppress(OSError):
            self._forbid_swap(memory)
        self._kills = self._count_kills()

    @property
    def lacks(self) -> list[str]:
        """The controllers that are missing."""
        return [controller for controller in _FILES if controller not in self._folders]

    def admit(self, pid: int) -> None:
        """Put a process into it; its future children will be in it too."""
        for folder in set(self._folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    def memory(self) -> int:
        """Return the bytes that its processes use, without cached files."""
        sizes: dict[str, int] = {}
        with contextlib.suppress(OSError, KeyError):
            for line in (self._folders["memory"] / "memory.stat").read_text().splitlines():
                name, _, size = line.partition(" ")
                sizes[name] = int(size)
        return sizes.get("anon", sizes.get("total_rss", 0)) + sizes.get("shmem", 0)

    def cpu_time(self) -> int | None:
        """Return the CPU time of all its processes in nanoseconds, dead ones included.

        None where this host has no such group.
        """
        folder = self._folders.get("cpuacct")
        if folder is None:
            return None
        with contextlib.suppress(OSError):
            return int((folder / _CLOCKS[0]).read_text())
        with contextlib.suppress(OSError):
            for line in (folder / _CLOCKS[1]).read_text().splitlines():
                if line.startswith("usage_usec "):
                    return int(line.split()[1]) * 1000
        return None

    def has_killed(self) -> bool:
        """Has the kernel killed a process for lack of memory since the last call?"""
        before, self._kills = self._kills, self._count_kills()
        return self._kills > before

    def remove(self) -> None:
        """Remove it; its last process has to be dead."""
        for folder in set(self._folders.values()):
            _remove(folder)

    def _find(self, controller: str, files: tuple[str, str]) -> Path | None:
        """Make a group with this controller, in the nearest folder where that is possible."""
        for made in self._folders.values():
            if any((made / name).exists() for name in files):
                return made  # version 2 has all controllers in one folder
        for parent in _places(controller):
            folder = parent / f"{_PREFIX}{_namespace()}-{os.getpid()}"
            try:
                folder.mkdir()
            except OSError:
                continue
            if any((folder / name).exists() for name in files):
                _sweep(parent)
                return folder
            folder.rmdir()
        return None

    def _forbid_swap(self, memory: int) -> None:
        folder = self._folders.get("memory")
        if folder is None:
            return
        if (folder / "memory.swap.max").exists():
            (folder / "memory.swap.max").write_text("0")
        elif (folder / "memory.memsw.limit_in_bytes").exists():
            (folder / "memory.memsw.limit_in_bytes").write_text(str(memory))

    def _count_kills(self) -> int:
        if self._events is None:
            self._events = self._open_events()
        for line in os.pread(self._events, 4096, 0).splitlines() if self._events >= 0 else ():
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
        return 0

    def _open_events(self) -> int:
        """Open the file that counts kills; it stays open, being read after each evaluation."""
        folder = self._folders.get("memory")
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError):
                if folder is not None:
                    return os.open(folder / name, os.O_RDONLY)
        return -1


class Enclosing(Group):
    """The control group that an engine made around this whole container, with its own limits."""

    def __init__(self) -> None:
        self._folders = {}
        for controller in ("memory", "cpuacct"):
            for place in _places(controller)[:1]:
                self._folders[controller] = place
        self._kills = self._count_kills()

    @property
    def lacks(self) -> list[str]:
        """Nothing: the engine sets all limits."""
        return []

    def admit(self, pid: int) -> None:
        """Do nothing: every process of the container is in it."""

    def cpu_time(self) -> int | None:
        """Return the CPU time of all other processes in it: this process is in it too."""
        taken = super().cpu_time()
        return None if taken is None else taken - time.process_time_ns()

    def remove(self) -> None:
        """Do nothing: it ends with the container."""


def _places(controller: str) -> list[Path]:
    """Return folders in which to try to make a group with this controller, the nearest first."""
    own: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for name in controllers.split(","):
                own[name] = path  # "" for version 2
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            root, point = before.split()[3:5]
            kind, _, options = after.split(" ", 2)
            if kind == "cgroup" and controller in options.split(","):
                path = own.get(controller, "/")
            elif kind == "cgroup2":
                path = own.get("", "/")
            else:
                continue
            inner = Path(point + "/" + os.path.relpath(path, root))
            top = Path(point)
            inner = inner if inner.is_dir() else top
            found += [inner, *(place for place in inner.parents if place.is_relative_to(top))]
    return found


def sweep() -> None:
    """Kill the processes that dead runners left in their groups, and remove the groups."""
    for parent in {place for controller in (*_FILES, "cpuacct") for place in _places(controller)}:
        _sweep(parent)


def _sweep(parent: Path) -> None:
    """Remove the groups of dead runners below a folder, and kill the processes in them."""
    own = _namespace()
    for folder in parent.glob(f"{_PREFIX}*"):
        namespace, _, pid = folder.name.removeprefix(_PREFIX).rpartition("-")
        with contextlib.suppress(OSError, ValueError):
            if namespace != own:
                # Whether its runner lives cannot be seen here. It may just have made its group.
                if time.time() - folder.stat().st_mtime > _YOUNG:
                    folder.rmdir()  # succeeds only if it is empty
            elif not Path(f"/proc/{pid}").exists():
                _kill_all(folder)
                _remove(folder)


def _namespace() -> str:
    """Name the process namespace in which the pids of this process count."""
    with contextlib.suppress(OSError):
        return str(os.stat("/proc/self/ns/pid").st_ino)  # noqa: PTH116
    return "unknown"


def _remove(folder: Path) -> None:
    for _ in range(_ROUNDS):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # the kernel takes a moment to forget the dead
            time.sleep(_PAUSE)
        else:
            return


def _kill_all(folder: Path) -> None:
    """Kill the processes in a group, such as a fork bomb, until it is empty."""
    for _ in range(_ROUNDS):
        pids = [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
        if not pids:
            return
        with contextlib.suppress(OSError):  # groups of other controllers have no such file
            (folder / "pids.max").write_text("0")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE)
