"""What keeps a candidate in: one class per tier, strongest first.

A   `NamespaceCells`: own user, process, network, IPC, host-name and mount namespaces, a root that
    holds nothing but Python and its libraries, read-only; and all of B.
B   `LandlockCells`: the host's file tree and processes, where Landlock lets it read Python and
    write to its scratch directory only; a filter of system calls; and all of C.
C   `PlainCells`: resource limits, no new privileges, where the host is root a fresh uid.

In a container of an engine `ContainerCells` are B, where the engine has limited the memory, the
processes and the disk of all candidates, and root may change its uid, kill, and nothing else.

A's namespaces are made once, around the zygote; each candidate gets process and mount namespaces
of its own inside them. The network namespace has no interface up and nobody who could change that,
and whoever was in it before is dead, so a fresh one for each candidate (0.7 ms, and a global lock
of the kernel) would keep nothing more apart.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

from sandbox import canary, kernel, landlock, seccomp
from sandbox.files import around, is_within, link_missing, wipe, write_files
from sandbox.processes import (
    descendants,
    holdings,
    memory_of_this_process,
    offer_to_oom_killer,
    tasks_of,
)
from sandbox.terms import Terms

_MIB = 1 << 20
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_ROOT, _SCRATCH = "/box/program", "/box/scratch"  # in tier A
_FRESH_UIDS = 1 << 30  # from here on, where no distribution and no user has any
_RANGE = 65_535
_NICE = 10  # within a container
_RESERVED = 1 << 16  # MiB of address space that a command may reserve
_MOST_FILES = 8192  # in a scratch directory


class PlainCells:
    """Resource limits and a process group: tier C, and what the stronger tiers build on."""

    flags = 0  # namespaces in which the zygote starts
    scratch_is_open = True  # nothing but `excess` keeps it from growing

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._is_root = os.getuid() == 0
        self._first_uid, self._uids = fresh_uids(Path("/proc/self/uid_map").read_text())
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

        folder = tempfile.mkdtemp(prefix="evolver-sandbox-")
        tempfile.tempdir = None  # found out anew by each candidate, which has a place of its own
        return folder

    def settle(self) -> None:
        """Do once, after the preload, what would be the same in every candidate."""
        self._limits = self._make_limits(memory_of_this_process())
        self._cpus = os.cpu_count() or 1  # reads /proc/stat, which takes the kernel a while
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

    def excess(self, pid: int, *, memory: bool) -> str:
        """Look at what the kernel does not limit here; return what there is too much of, or "".

        Args:
            pid: a candidate's first process.
            memory: is no control group there to limit it?
        """
        taken = 0
        files: dict[tuple[int, int], int] = {}
        for one in (pid, *descendants(pid)):
            try:
                its_memory, its_files = holdings(one, memory=memory)
            except PermissionError:
                return "it hid its memory or its open files"
            taken += its_memory
            files |= its_files
        nameless = sum(files.values())
        # Files without a name may lie in memory or on the disk, and are too much of either.
        if memory and taken + nameless > self._terms.memory * _MIB:
            return f"its processes together took more than {self._terms.memory} MiB of memory"
        if self.scratch_is_open and not is_within(
            f"{self._place}/scratch", self._terms.scratch * _MIB - nameless, _MOST_FILES
        ):
            return f"it wrote more than {self._terms.scratch} MiB or {_MOST_FILES} files"
        return ""

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
        for entry in os.scandir(f"{self._place}/scratch"):
            self._wipe(entry)

    def _wipe(self, entry: os.DirEntry[str]) -> None:
        wipe(entry.path)

    def remove(self) -> None:
        """Remove the place, when the runner ends."""
        if self._place:
            wipe(self._place)

    # --- in the candidate's process -------------------------------------------------------------

    @property
    def _uid(self) -> int:
        return self._first_uid + self._number % self._uids

    def furnish(self) -> None:
        """Make what the candidate needs and the one before it, still alive, cannot reach."""
        offer_to_oom_killer()

    def move_in(self, files: dict[str, bytes]) -> tuple[str, str]:
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
        for what, soft, hard in (*self._limits, (resource.RLIMIT_CPU, cpu, cpu)):
            resource.setrlimit(what, (soft, hard))
        self._drop()

    def _make_limits(self, own_memory: int) -> list[tuple[int, int, int]]:
        """Return each limit: what, the soft one, the hard one.

        They are the same but for the address space, where the soft one makes Python raise a
        MemoryError in time. Commands may reserve more, as Java and Julia do: what is really taken
        is counted over all processes anyway, by a control group or by looking.
        """
        terms = self._terms
        others = 0 if self._is_root else tasks_of(os.getuid())
        wanted = {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_FSIZE: terms.scratch * _MIB,
            resource.RLIMIT_NOFILE: 256,
            resource.RLIMIT_NPROC: others + terms.processes,
            resource.RLIMIT_MSGQUEUE: 0,
            resource.RLIMIT_MEMLOCK: 65536,
        }
        reserved = {}
        if not terms.devices:
            wanted[resource.RLIMIT_AS] = own_memory + terms.memory * _MIB
            reserved[resource.RLIMIT_AS] = own_memory + max(_RESERVED, terms.memory) * _MIB
        ceilings = {what: resource.getrlimit(what)[1] for what in wanted}

        def below_ceiling(what: int, most: int) -> int:
            return most if ceilings[what] == resource.RLIM_INFINITY else min(most, ceilings[what])

        return [
            (what, below_ceiling(what, most), below_ceiling(what, reserved.get(what, most)))
            for what, most in wanted.items()
        ]

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
        for path in (*_DEVICES, *self._terms.devices):
            rules.allow(path, write=True)
        rules.allow(self._place)
        rules.allow(f"{self._place}/scratch", write=True)
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


class NamespaceCells(LandlockCells):
    """Namespaces, a root of its own, and all of tier B: tier A."""

    scratch_is_open = False  # a file system of fixed size

    def __init__(self, terms: Terms, *, own_users: bool) -> None:
        super().__init__(terms)
        self.flags = kernel.NEWPID | kernel.NEWNS | kernel.NEWIPC | kernel.NEWUTS
        if not terms.network:
            self.flags |= kernel.NEWNET
        if own_users:
            self.flags |= kernel.NEWUSER
        self._own_users = own_users

    def map_users(self, zygote: int) -> None:
        """Give the zygote's user namespace its uids; called by the zygote's parent."""
        if not self._own_users:
            return
        folder = Path(f"/proc/{zygote}")
        uid, gid = os.getuid(), os.getgid()
        if self._is_root:
            fresh = f"\n1 {self._first_uid} {_RANGE}"
        else:
            fresh = ""
            (folder / "setgroups").write_text("deny")
        (folder / "uid_map").write_text(f"0 {uid} 1{fresh}")
        (folder / "gid_map").write_text(f"0 {gid} 1{fresh}")

    @property
    def _uid(self) -> int:
        return self._number % _RANGE + 1 if self._own_users else super()._uid

    def prepare(self) -> None:
        """Build the root that holds only what candidates may see, and move into it."""
        self._own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        super().prepare()

    def _make_place(self) -> str:
        kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("tmpfs", "/tmp", "tmpfs", kernel.MS_NOSUID, "mode=755")
        Path("/tmp/host").mkdir()
        kernel.pivot_root("/tmp", "/tmp/host")
        os.chdir("/")
        for path in (*self._terms.visible, *_DEVICES, *self._terms.devices):
            self._show(path)
        for path in self._terms.hidden:
            if Path(path).is_file():
                kernel.bind("/host/dev/null", path)
            elif Path(path).is_dir():
                kernel.mount("tmpfs", path, "tmpfs", kernel.MS_RDONLY, "mode=000,size=4k")
        for folder in ("/proc", _ROOT, _SCRATCH):
            Path(folder).mkdir(parents=True)
        # A new /proc may be mounted only while another is in sight, so this one stays below the
        # candidates' own. Where the host's is masked, as in a container, there is none at all.
        self._has_proc = self._mount_proc(0)
        kernel.unmount("/host")
        Path("/host").rmdir()
        write_files("/base", self._terms.base)
        canary.plant("/box")
        kernel.set_read_only("/")
        return "/box"

    def _show(self, path: str) -> None:
        source = Path("/host" + path)
        target = Path(path)
        if target.exists() or target.is_symlink() or not os.path.lexists(source):
            return  # below something that is shown already, or nothing
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
            return
        if source.is_dir():
            target.mkdir()
        else:
            target.touch()
        kernel.bind(str(source), path)

    def _mount_proc(self, protection: int) -> bool:
        flags = protection | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        try:
            kernel.mount("proc", "/proc", "proc", flags)
        except OSError:
            return False
        return True

    def _make_rules(self) -> landlock.Ruleset:
        rules = landlock.Ruleset(network=self._terms.network)
        rules.allow("/")
        # A rule on a mount point does not reach into the mount, one on its parent does.
        for path in (*_DEVICES, *self._terms.devices, "/box"):
            rules.allow(path, write=True)
        return rules

    def _make_filter(self) -> bytes:
        return seccomp.build_filter(network=self._terms.network)

    def fork(self, number: int) -> int:
        """Fork a candidate as the first process of a new process namespace."""
        kernel.unshare(kernel.NEWPID)
        pid = super().fork(number)
        if pid:
            kernel.setns(self._own_pids, kernel.NEWPID)
        return pid

    def bury(self, number: int, spared: set[int]) -> None:
        """Do nothing: with its first process all of a namespace is dead, and its mounts gone."""

    def remove(self) -> None:
        """Do nothing: the place goes with the zygote."""

    def furnish(self) -> None:
        """Mount a program's directory, a scratch directory and a /proc of the candidate's own."""
        super().furnish()
        kernel.unshare(kernel.NEWNS)
        flags = kernel.MS_NOSUID | kernel.MS_NODEV
        kernel.mount("tmpfs", _ROOT, "tmpfs", flags, "mode=755")
        owner = f"uid={self._uid},gid={self._uid}," if self._is_root else ""
        size = f"size={self._terms.scratch}m,nr_inodes={_MOST_FILES}"
        kernel.mount("tmpfs", _SCRATCH, "tmpfs", flags, f"mode=700,{owner}{size}")
        if self._has_proc:
            self._mount_proc(kernel.MS_RDONLY)

    def move_in(self, files: dict[str, bytes]) -> tuple[str, str]:
        """Lay out the program, for good; return where it and the scratch directory are."""
        self._lay_out(_ROOT, files, "/base")
        kernel.set_read_only(_ROOT)
        return _ROOT, _SCRATCH


class ContainerCells(LandlockCells):
    """Tier B in a container: its root can change its uid and kill, and may not touch others' files.

    So what belongs to a candidate is made and removed under the candidate's uid.
    """

    scratch_is_open = False  # a file system of fixed size

    def furnish(self) -> None:
        """Let the runner, which has to kill it, go first on the processors that they share."""
        super().furnish()
        os.nice(_NICE)

    def _make_place(self) -> str:
        place = super()._make_place()
        Path(place, "scratch").chmod(0o771)  # for whoever is of root's group, with its own uid
        return place

    def _make_rules(self) -> landlock.Ruleset | None:
        if landlock.version():
            return super()._make_rules()
        # All else here is root's and read-only, or root's and closed.
        self.notes.append("containers here have no Landlock: candidates can read all of the image")
        return None

    def _new_folder(self) -> str:
        folder = Path("/tmp/box")  # the same in every container: a candidate cannot tell them apart
        folder.mkdir()
        return str(folder)

    def _make_filter(self) -> bytes:
        return seccomp.build_filter(network=self._terms.network)  # no server listens in there

    def _make_scratch(self, path: str) -> None:
        os.seteuid(self._uid)
        Path(path).mkdir(mode=0o700)
        os.seteuid(0)

    def _wipe(self, entry: os.DirEntry[str]) -> None:
        try:
            Path(entry.path).rmdir()  # mostly it is empty
            return
        except OSError:
            owner = entry.stat(follow_symlinks=False).st_uid
        pid = os.fork()
        if pid == 0:
            try:
                os.setresuid(owner, owner, owner)
                wipe(entry.path)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        with contextlib.suppress(OSError):
            Path(entry.path).rmdir()


def fresh_uids(mapped: str) -> tuple[int, int]:
    """Return the first of some uids that nobody has, and how many there are.

    Args:
        mapped: the uids that exist here, as /proc/self/uid_map has them. An engine that maps users
            gives a container but 65,536.
    """
    first, _, count = (int(word) for word in mapped.splitlines()[-1].split())
    if first + count > _FRESH_UIDS + (_RANGE + 1 << 14):
        return _FRESH_UIDS + random.SystemRandom().randrange(1 << 14) * (_RANGE + 1), _RANGE
    return first + count // 2, max(1, count // 2)


def choose(terms: Terms) -> PlainCells:
    """Return the cells of the tier that the terms name."""
    match terms.tier:
        case "A":
            return NamespaceCells(terms, own_users=own_users_work())
        case "B":
            return LandlockCells(terms)
        case "docker":
            return ContainerCells(terms)
    return PlainCells(terms)


def own_users_work() -> bool:
    """May this process make a user namespace? Root can do without one."""
    pid = os.fork()
    if pid == 0:
        try:
            kernel.unshare(kernel.NEWUSER)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0 or os.getuid() != 0
