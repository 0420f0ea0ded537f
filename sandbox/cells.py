"""Confinement of candidates: one class for each tier, the strongest first.

A   `namespaces.NamespaceCells`: own user, process, network, IPC, host-name and mount namespaces, a
    root that holds nothing but Python and its libraries, read-only; and all of B.
B   `LandlockCells`: the host's file tree and processes, where Landlock lets it read Python and
    write to its scratch directory only; a filter of system calls; and all of C.
C   `PlainCells`: resource limits, no new privileges, where the host is root a fresh uid.

In a container of an engine `container.ContainerCells` are B, where the engine has limited the
memory, the processes and the disk of all candidates. Root has three rights there: to change its uid
and gid, and to kill.

`runner.cells_of` chooses among them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from sandbox import canary, kernel, landlock, seccomp
from sandbox.files import around, hold, link_missing, sweep, wipe, write_files
from sandbox.limits import BESIDE, Limits, has_proc
from sandbox.processes import all_processes, descendants, offer_to_oom_killer, tasks_of
from sandbox.terms import MOST_FILES, Terms
from sandbox.uids import can_give_uids, fresh_uids
from sandbox.watcher import Watcher

_PREFIX = "evolver-sandbox-"
DEVICES = tuple(
    f"/dev/{name}"
    for name in ("null", "zero", "full", "random", "urandom")
    if os.path.exists(f"/dev/{name}")  # noqa: PTH110
)


class PlainCells:
    """Resource limits and a process group: tier C, the base of the stronger tiers."""

    flags = 0  # namespaces in which the zygote starts
    scratch_is_open = True  # only `excess` limits its size
    _own_files: tuple[str, ...] = ()  # mount points of its own file systems
    _is_alone = False  # does /proc show candidates and their runner, and no other process?

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        mapped = Path("/proc/self/uid_map").read_text()
        self._is_root = os.getuid() == 0 and can_give_uids(mapped)
        self._first_uid, self._uids = fresh_uids(mapped)
        self._number = 0
        self._place = ""
        self.notes: list[str] = []  # restrictions of this host, in sentences

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
        hold(folder)  # until this process ends
        sweep(tempfile.gettempdir(), _PREFIX)
        tempfile.tempdir = None  # each candidate finds its own
        return folder

    def settle(self) -> None:
        """Compute, after the preload, the values that are the same for every candidate.

        From then on the decoys can be imported, and are watched.
        """
        sys.path.append(canary.importable(self._place))
        self.decoys = canary.Watch(self._place)
        if self.decoys.failure:
            self.notes.append(
                f"decoys cannot be watched, so opening one is not detected: {self.decoys.failure}"
            )
        self._others = frozenset(all_processes())
        terms = self._terms
        cpus = os.cpu_count() or 1  # reads /proc/stat, which takes the kernel a while
        scratch = f"{self._place}/scratch" if self.scratch_is_open else ""
        self.watcher = Watcher(terms, scratch, self._own_files, cpus)
        others = 0 if self._is_root else tasks_of(os.getuid())
        largest = terms.scratch if self.scratch_is_open else terms.memory + BESIDE
        self._limits = Limits(terms, others, largest, cpus)
        kernel.lock_privileges()

    def excess(self, pid: int, spared: set[int]) -> str:
        """Check the limits that the kernel does not enforce here; return the one exceeded, or "".

        Args:
            pid: a candidate's first process.
            spared: pids of other candidates.
        """
        if 1 + len(self._below(pid, spared)) > self._terms.processes:
            return f"it had more than [sandbox] processes = {self._terms.processes} processes"
        return self.watcher.excess(pid)

    def kill_all(self, pid: int, spared: set[int]) -> None:
        """Kill all processes of a candidate, and those that they start meanwhile.

        The first process of a fork bomb may wait seconds for a processor; until it is dead, the
        others go on forking.

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
        if self._is_alone:  # much quicker than reading the children of each thread
            return set(all_processes()) - self._others - spared - {pid}
        return set(descendants(pid))

    def fork(self, number: int) -> int:
        """Fork the candidate of this number; returns 0 in it."""
        self._number = number
        return os.fork()

    def bury(self, number: int, spared: set[int]) -> None:
        """Kill and reap the processes that a dead candidate left, and remove its files.

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
        # It may have written outside its own folder.
        self._clear([f"{self._place}/scratch"])

    def _clear(self, folders: list[str]) -> None:
        """Empty these folders, which belong to the candidates."""
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
        """Prepare this process while the candidate before it is still at work."""
        offer_to_oom_killer()

    def lay_out_program(self, files: dict[str, bytes]) -> tuple[str, str]:
        """Lay out the program and an empty scratch directory; return both folders."""
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
        """Give up all rights that the candidate must not have.

        Args:
            seconds: how long it may run.

        Raises:
            OSError: the host refuses one of the steps.
        """
        is_measured = not self.watcher.looks_at_memory or has_proc()
        self._limits.apply(seconds, is_measured=is_measured)
        self._drop()

    def _drop(self) -> None:
        if self._is_root:
            os.setgroups([])
            os.setresgid(self._uid, self._uid, self._uid)
            os.setresuid(self._uid, self._uid, self._uid)
        kernel.drop_capabilities()
        kernel.die_with_parent()
        kernel.set_dumpable(True)  # makes /proc/self its own again; no other process has its uid


class LandlockCells(PlainCells):
    """Landlock and a filter of system calls: tier B."""

    _private: tuple[str, ...] = ()  # other folders that only candidates use

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
        # Landlock does not restrict sockets in the file system, where servers of the host listen.
        inside = self._is_root or landlock.keeps_signals()
        return seccomp.build_filter(
            network=self._terms.network,
            local=False,
            signals=inside,
            shares_user=not self._is_root,
        )

    def confine(self, seconds: float) -> None:
        """Give up all rights, then apply the Landlock rules and the filter."""
        super().confine(seconds)
        if self._rules is not None:
            self._rules.apply()
        kernel.install_filter(self._filter)


def memory_files(memory: int) -> str:
    """Return options of a file system in memory, larger than the memory limit, which applies first.

    Args:
        memory: MiB of the limit.
    """
    return f"size={memory + BESIDE}m,nr_inodes={MOST_FILES}"
