"""Tier A: namespaces, and a root that holds only the files that candidates need.

The namespaces are made once, around the zygote; each candidate gets process and mount namespaces
of its own inside them. All candidates share the network namespace: it has no interface up, no
process in it may change that, and the candidates before are dead. A fresh one for each candidate
would cost 0.7 ms and a global lock of the kernel, and isolate no better.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from sandbox import canary, kernel, landlock, seccomp
from sandbox.cells import DEVICES, LandlockCells, memory_files
from sandbox.files import write_files
from sandbox.terms import MOST_FILES, Terms
from sandbox.uids import RANGE

_ROOT, _SCRATCH = "/box/program", "/box/scratch"
_OWN = "/box/own"  # a file system of each candidate: /tmp, /dev/shm, its passwd and group
_SHOWN = "/box/shown"  # visible paths of the host that lie below its /tmp and /dev/shm
_HOST = "sandbox"
#: Links in the shared root to files of the candidate or of the kernel.
_LINKS = {
    "/tmp": f"{_OWN}/tmp",
    "/dev/shm": f"{_OWN}/shm",
    "/etc/passwd": f"{_OWN}/passwd",
    "/etc/group": f"{_OWN}/group",
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}
#: Files that resolvers read, where there is no network; the host's own would be of no use.
_RESOLVERS = {
    "resolv.conf": b"",
    "hosts": f"127.0.0.1 localhost {_HOST}\n::1 localhost {_HOST}\n".encode(),
    "nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files\n",
}


class NamespaceCells(LandlockCells):
    """Namespaces, a root of its own, and all of tier B: tier A."""

    scratch_is_open = False  # a file system of fixed size
    _own_files = (_OWN, _SCRATCH)
    _is_alone = True

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

    def _uid_of(self, number: int) -> int:
        return number % RANGE + 1 if self._own_users else super()._uid_of(number)

    def prepare(self) -> None:
        """Build the root, which holds only the paths that candidates may see, and change to it."""
        self._own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        socket.sethostname(_HOST)
        super().prepare()

    def _make_place(self) -> str:
        kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("tmpfs", "/tmp", "tmpfs", kernel.MS_NOSUID, "mode=755")
        Path("/tmp/host").mkdir()
        kernel.pivot_root("/tmp", "/tmp/host")
        os.chdir("/")
        for path in (*self._terms.visible, *DEVICES, *self._terms.devices):
            self._show(path)
        for path in map(_inside, self._terms.hidden):
            if Path(path).is_file():
                kernel.bind("/host/dev/null", path)
            elif Path(path).is_dir():
                kernel.mount("tmpfs", path, "tmpfs", kernel.MS_RDONLY, "mode=000,size=4k")
        for folder in ("/proc", _ROOT, _SCRATCH, _OWN):
            Path(folder).mkdir(parents=True)
        self._make_links()
        # A new /proc may be mounted only while another is visible, so this one stays below those of
        # the candidates. Where the host's is masked, as in a container, there is no /proc.
        self._has_proc = self._mount_proc(0)
        kernel.unmount("/host")
        Path("/host").rmdir()
        write_files("/base", self._terms.base)
        canary.plant("/box")
        kernel.set_read_only("/")
        return "/box"

    def _make_links(self) -> None:
        """Make the shared links and files of /tmp, /dev and /etc, if the task shows no others."""
        for place, target in _LINKS.items():
            folder = Path(place).parent
            if not os.path.lexists(place) and str(folder) not in self._terms.visible:
                folder.mkdir(parents=True, exist_ok=True)
                Path(place).symlink_to(target)
        if not self._terms.network and "/etc" not in self._terms.visible:
            missing = [name for name in _RESOLVERS if not os.path.lexists(f"/etc/{name}")]
            write_files("/etc", {name: _RESOLVERS[name] for name in missing})
        self._shown = [
            (f"{_OWN}/{kind}/{name}", f"{_SHOWN}{folder}/{name}")
            for folder, kind in (("/tmp", "tmp"), ("/dev/shm", "shm"))
            if Path(_SHOWN + folder).exists()
            for name in os.listdir(_SHOWN + folder)  # noqa: PTH208
        ]
        self._make_own()  # for the preload

    def _make_own(self) -> None:
        """Make /tmp and /dev/shm; with `os`, because it runs in every evaluation."""
        for folder in (f"{_OWN}/tmp", f"{_OWN}/shm"):
            os.mkdir(folder)  # noqa: PTH102
            os.chmod(folder, 0o1777)  # noqa: PTH101
        for place, target in self._shown:
            os.symlink(target, place)  # noqa: PTH211

    def _show(self, path: str) -> None:
        source = Path("/host" + path)
        target = Path(_inside(path))
        if target.exists() or target.is_symlink() or not os.path.lexists(source):
            return  # shown already, or not there
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
            return
        if source.is_dir():
            target.mkdir()
        else:
            target.touch()
        kernel.bind(str(source), str(target))

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
        # The host's network includes servers on abstract sockets.
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
        """Do nothing: when the first process dies, the kernel kills all others and unmounts."""

    def remove(self) -> None:
        """Do nothing: the place ends with the zygote."""

    def furnish(self) -> None:
        """Mount the candidate's own file systems: program, scratch directory, /tmp, /proc."""
        super().furnish()
        kernel.unshare(kernel.NEWNS)
        flags = kernel.MS_NOSUID | kernel.MS_NODEV
        kernel.mount("tmpfs", _ROOT, "tmpfs", flags, "mode=755")
        owner = f"uid={self._uid},gid={self._uid}," if self._is_root else ""
        size = f"size={self._terms.scratch}m,nr_inodes={MOST_FILES}"
        kernel.mount("tmpfs", _SCRATCH, "tmpfs", flags, f"mode=700,{owner}{size}")
        kernel.mount("tmpfs", _OWN, "tmpfs", flags, f"mode=755,{memory_files(self._terms.memory)}")
        self._make_own()
        uid = self._uid if self._is_root else 0
        who = f"candidate:x:{uid}:{uid}:candidate:{_SCRATCH}:/bin/sh\n"
        write_files(_OWN, {"passwd": who.encode(), "group": f"candidate:x:{uid}:\n".encode()})
        if self._has_proc:
            self._mount_proc(kernel.MS_RDONLY)

    def lay_out_program(self, files: dict[str, bytes]) -> tuple[str, str]:
        """Lay out the program, read-only; return its folder and the scratch directory."""
        self._lay_out(_ROOT, files, "/base")
        kernel.set_read_only(_ROOT)
        return _ROOT, _SCRATCH


def _inside(path: str) -> str:
    """Return where a path of the host is shown: below `_SHOWN` if it is in /tmp or /dev/shm.

    Links in the candidate's own /tmp and /dev/shm lead there.
    """
    return _SHOWN + path if path.startswith(("/tmp/", "/dev/shm/")) else path


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
