"""Tier A: namespaces, and a root that holds nothing but what candidates need.

A's namespaces are made once, around the zygote; each candidate gets process and mount namespaces
of its own inside them. The network namespace has no interface up and nobody who could change that,
and whoever was in it before is dead, so a fresh one for each candidate (0.7 ms, and a global lock
of the kernel) would keep nothing more apart.
"""

from __future__ import annotations

import os
from pathlib import Path

from sandbox import canary, kernel, landlock, seccomp
from sandbox.cells import DEVICES, MOST_FILES, RANGE, LandlockCells
from sandbox.files import write_files
from sandbox.terms import Terms

_ROOT, _SCRATCH = "/box/program", "/box/scratch"


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
            fresh = f"\n1 {self._first_uid} {RANGE}"
        else:
            fresh = ""
            (folder / "setgroups").write_text("deny")
        (folder / "uid_map").write_text(f"0 {uid} 1{fresh}")
        (folder / "gid_map").write_text(f"0 {gid} 1{fresh}")

    @property
    def _uid(self) -> int:
        return self._number % RANGE + 1 if self._own_users else super()._uid

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
        for path in (*self._terms.visible, *DEVICES, *self._terms.devices):
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
        for path in (*DEVICES, *self._terms.devices, "/box"):
            rules.allow(path, write=True)
        return rules

    def _make_filter(self) -> bytes:
        # With the host's network come its servers that listen under no path.
        local = not self._terms.network or landlock.keeps_signals()
        return seccomp.build_filter(network=self._terms.network, local=local)

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
        size = f"size={self._terms.scratch}m,nr_inodes={MOST_FILES}"
        kernel.mount("tmpfs", _SCRATCH, "tmpfs", flags, f"mode=700,{owner}{size}")
        if self._has_proc:
            self._mount_proc(kernel.MS_RDONLY)

    def move_in(self, files: dict[str, bytes]) -> tuple[str, str]:
        """Lay out the program, for good; return where it and the scratch directory are."""
        self._lay_out(_ROOT, files, "/base")
        kernel.set_read_only(_ROOT)
        return _ROOT, _SCRATCH


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
