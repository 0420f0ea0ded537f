"""What keeps a candidate in: one class per tier, strongest first.

A   `namespaces.NamespaceCells`: own user, process, network, IPC, host-name and mount namespaces, a
    root that holds nothing but Python and its libraries, read-only; and all of B.
B   `LandlockCells`: the host's file tree and processes, where Landlock lets it read Python and
    write to its scratch directory only; a filter of system calls; and all of C.
C   `PlainCells`: resource limits, no new privileges, where the host is root a fresh uid.

In a container of an engine `container.ContainerCells` are B, where the engine has limited the
memory, the processes and the disk of all candidates, and root may change its uid, kill, and nothing
else.

`runner.cells_of` chooses among them.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from pathlib import Path

from sandbox import canary, kernel, landlock, seccomp
from sandbox.files import around, hold, link_missing, sweep, wipe, write_files
from sandbox.processes import (
    all_processes,
    descendants,
    memory_of_this_process,
    offer_to_oom_killer,
    tasks_of,
)
from sandbox.terms import MOST_FILES, THREADS, Terms
from sandbox.uids import can_give_uids, fresh_uids
from sandbox.watcher import Watcher

_MIB = 1 << 20
_PREFIX = "evolver-sandbox-"
DEVICES = tuple(
    f"/dev/{name}"
    for name in ("null", "zero", "full", "random", "urandom")
    if os.path.exists(f"/dev/{name}")  # noqa: PTH110
)
_ADDRESSES = 1 << 46  # bytes of address space that a process may reserve: half of what there is
_BESIDE = 128  # MiB of files in memory that may be written beyond the limit before one looks


class PlainCells:
    """Resource limits and a process group: tier C, and what the stronger tiers build on."""

    flags = 0  # namespaces in which the zygote starts
    scratch_is_open = True  # nothing but `excess` keeps it from growing
    _own_files: tuple[str, ...] = ()  # where each candidate has file systems in memory of its own
    _is_alone = False  # does /proc show candidates and their runner, and no other process?

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        mapped = Path("/proc/self/uid_map").read_text()
        self._is_root = os.getuid() == 0 and can_give_uids(mapped)
        self._first_uid, self._uids = fresh_uids(mapped)
        self._number = 0
        self._place = ""
        self._watch: canary.Watch | None = None
        self.notes: list[str] = []  # what is not as it should be

    # --- in the zygote ------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the place in which candidates will live.

        Raises:
            OSError: this host cannot.
        """
        self._place = self._make_place()
        kernel.become_subreaper()

    def _make_place(self) -> str:
        place = self._new_folder()
        Path(place).chmod(0o711)
        for folder in ("program", "scratch"):
            Path(place, folder).mkdir(mode=0o711)
        write_files(f"{place}/base", self._terms.base)
        canary.plant(place)
        return place

    def _new_folder(self) -> str:
        import tempfile

        folder = tempfile.mkdtemp(prefix=_PREFIX)
        hold(folder)  # until this process is dead
        sweep(tempfile.gettempdir(), _PREFIX)
        tempfile.tempdir = None  # found out anew by each candidate, which has a place of its own
        return folder

    def settle(self) -> None:
        """Do once, after the preload, what would be the same in every candidate."""
        self._others = frozenset(all_processes())
        self._shared = memory_of_this_process()
        self._limits = self._make_limits()
        self._cpus = os.cpu_count() or 1  # reads /proc/stat, which takes the kernel a while
        scratch = f"{self._place}/scratch" if self.scratch_is_open else ""
        self.watcher = Watcher(self._terms, scratch, self._own_files, self._cpus)
        kernel.lock_privileges()

    def watch_decoys(self) -> None:
        """Put the decoys in candidates' way, and see who opens them."""
        sys.path.append(canary.importable(self._place))
        try:
            self._watch = canary.Watch(self._place)
        except OSError as error:
            self.notes.append(f"candidates that open decoys are not found out: {error}")

    def opened_decoys(self) -> list[str]:
        """Return those that the candidate opened which was buried last."""
        return self._watch.opened() if self._watch is not None else []

    def excess(self, pid: int, spared: set[int]) -> str:
        """Look at what the kernel does not limit here; return what there is too much of, or "".

        Args:
            pid: a candidate's first process.
            spared: pids of other candidates.
        """
        if 1 + len(self._below(pid, spared)) > self._terms.processes:
            return f"it had more than [sandbox] processes = {self._terms.processes} processes"
        return self.watcher.excess(pid)

    def kill_all(self, pid: int, spared: set[int]) -> None:
        """Kill all processes of a candidate, and those that they start meanwhile.

        Of a fork bomb the first process may wait for a processor for seconds, and while it is not
        dead the others go on.

        Args:
            pid: its first process.
            spared: pids of other candidates.
        """
        killed: set[int] = set()
        while found := {pid, *self._below(pid, spared)} - killed:
            for one in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            killed |= found

    def _below(self, pid: int, spared: set[int]) -> set[int]:
        """Return the pids of a candidate's processes but for the first, threads aside."""
        if self._is_alone:  # much quicker than to ask each thread for its children
            return set(all_processes()) - self._others - spared - {pid}
        return set(descendants(pid))

    def fork(self, number: int) -> int:
        """Fork the candidate of this number; returns 0 in it."""
        self._number = number
        return os.fork()

    def bury(self, number: int, spared: set[int]) -> None:
        """Kill and reap what a dead candidate left, and wipe what it wrote.

        Args:
            number: the candidate's.
            spared: pids of others, which have no descendants yet.
        """
        while left := [pid for pid in descendants(os.getpid()) if pid not in spared]:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in left:  # those that became our children when their parents died
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(0.0005)
        wipe(f"{self._place}/program/{number}")
        # It may have put more there than its own folder.
        self._clear([f"{self._place}/scratch"])

    def _clear(self, folders: list[str]) -> None:
        """Remove all that lies in these folders, which are the candidates'."""
        for folder in folders:
            for entry in os.scandir(folder):
                wipe(entry.path)

    def remove(self) -> None:
        """Remove the place, when the runner ends."""
        if self._place:
            wipe(self._place)

    # --- in the candidate's process -------------------------------------------------------------

    @property
    def _uid(self) -> int:
        return self._uid_of(self._number)

    def _uid_of(self, number: int) -> int:
        return self._first_uid + number % self._uids

    def furnish(self) -> None:
        """Make what the candidate needs and the one before it, still alive, cannot reach."""
        offer_to_oom_killer()

    def lay_out_program(self, files: dict[str, bytes]) -> tuple[str, str]:
        """Lay out the program and an empty scratch directory; return where they are."""
        root, scratch = (f"{self._place}/{name}/{self._number}" for name in ("program", "scratch"))
        Path(root).mkdir()
        self._lay_out(root, files, f"{self._place}/base")
        self._make_scratch(scratch)
        return root, scratch

    def _make_scratch(self, path: str) -> None:
        Path(path).mkdir(mode=0o700)
        if self._is_root:
            os.chown(path, self._uid, self._uid)

    def _lay_out(self, root: str, files: dict[str, bytes], base: str) -> None:
        write_files(root, files)
        if self._terms.base:
            link_missing(root, base)

    def confine(self, seconds: float) -> None:
        """Give up everything that the candidate must not have.

        Args:
            seconds: how long it may run.

        Raises:
            OSError: the host refuses one of the steps.
        """
        cpu = int(seconds * self._cpus) + 2
        for what, most in (*self._limits, (resource.RLIMIT_CPU, cpu)):
            resource.setrlimit(what, (most, most))
        self._limit_addresses()
        self._drop()

    def _make_limits(self) -> list[tuple[int, int]]:
        """Return each limit: of what, and how much."""
        terms = self._terms
        others = 0 if self._is_root else tasks_of(os.getuid())
        wanted = {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_FSIZE: self._largest_file * _MIB,
            resource.RLIMIT_NOFILE: 256,
            resource.RLIMIT_NPROC: others + THREADS * terms.processes,
            resource.RLIMIT_MSGQUEUE: 0,
            resource.RLIMIT_MEMLOCK: 65536,
        }
        return [(what, _below_ceiling(what, most)) for what, most in wanted.items()]

    @property
    def _largest_file(self) -> int:  # MiB
        return self._terms.scratch if self.scratch_is_open else self._terms.memory + _BESIDE

    def _limit_addresses(self) -> None:
        """Limit what a process may reserve, generously: runtimes reserve what they never use.

        What is in memory counts over all processes, in a control group or by looking. Where there
        is neither, the address space of each process is all that can be limited.
        """
        if not self._terms.devices:
            most = _ADDRESSES
            if self.watcher.looks_at_memory and not _can_look():
                most = self._shared + self._terms.memory * _MIB
            most = _below_ceiling(resource.RLIMIT_AS, most)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))

    def _drop(self) -> None:
        if self._is_root:
            os.setgroups([])
            os.setresgid(self._uid, self._uid, self._uid)
            os.setresuid(self._uid, self._uid, self._uid)
        kernel.drop_capabilities()
        kernel.die_with_parent()
        kernel.set_dumpable(True)  # its own /proc/self again; nobody else is of its uid


class LandlockCells(PlainCells):
    """Landlock and a filter of system calls: tier B."""

    _private: tuple[str, ...] = ()  # other folders that are the candidates' alone

    def prepare(self) -> None:
        """Make the place, and the rules that every candidate will apply."""
        super().prepare()
        self._rules = self._make_rules()
        self._filter = self._make_filter()

    def _make_rules(self) -> landlock.Ruleset | None:
        rules = landlock.Ruleset(network=self._terms.network)
        for path in self._terms.visible:
            parts = around(path, self._terms.hidden)
            for part in parts:
                rules.allow(part)
            if parts != [path]:
                rules.allow_listing(path)
        for path in (*DEVICES, *self._terms.devices):
            rules.allow(path, write=True)
        rules.allow(self._place)
        for place in (f"{self._place}/scratch", *self._private):
            rules.allow(place, write=True)
        return rules

    def _make_filter(self) -> bytes:
        # Landlock says nothing of sockets in the file system: the host's servers listen there.
        inside = self._is_root or landlock.keeps_signals()
        return seccomp.build_filter(
            network=self._terms.network,
            local=False,
            signals=inside,
            shares_user=not self._is_root,
        )

    def confine(self, seconds: float) -> None:
        """Give up everything, and then the right to ask for more."""
        super().confine(seconds)
        if self._rules is not None:
            self._rules.apply()
        kernel.install_filter(self._filter)


def memory_files(memory: int) -> str:
    """Return the options of a file system in memory that is so large that the limit counts first.

    Args:
        memory: MiB of the limit.
    """
    return f"size={memory + _BESIDE}m,nr_inodes={MOST_FILES}"


def _below_ceiling(what: int, most: int) -> int:
    ceiling = resource.getrlimit(what)[1]
    return most if ceiling == resource.RLIM_INFINITY else min(most, ceiling)


def _can_look() -> bool:
    """Is there a /proc? Not in some containers."""
    return os.path.exists("/proc/self/status")  # noqa: PTH110
