"""Linux calls that Python does not offer, by ctypes. Every failure is an OSError."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

# PyDLL keeps the interpreter's lock: the child of a raw clone could not get it back.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

MACHINE = platform.machine()
#: The calls made here; those from 424 on have the same number on every machine.
_NUMBERS = (
    {
        "x86_64": {"clone": 56, "mount": 165, "umount2": 166, "pivot_root": 155, "prctl": 157}
        | {"unshare": 272, "setns": 308, "capset": 126}
        | {"inotify_init1": 294, "inotify_add_watch": 254},
        "aarch64": {"clone": 220, "mount": 40, "umount2": 39, "pivot_root": 41, "prctl": 167}
        | {"unshare": 97, "setns": 268, "capset": 91}
        | {"inotify_init1": 26, "inotify_add_watch": 27},
    }.get(MACHINE, {})
    | {"close_range": 436, "mount_setattr": 442}
    | {
        "landlock_create_ruleset": 444,
        "landlock_add_rule": 445,
        "landlock_restrict_self": 446,
    }
)

NEWNS, NEWUTS, NEWIPC, NEWUSER = 0x00020000, 0x04000000, 0x08000000, 0x10000000
NEWPID, NEWNET, NEWCGROUP, NEWTIME = 0x20000000, 0x40000000, 0x02000000, 0x00000080

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS = 1, 4, 8
_PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS = 22, 24, 28
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 36, 38, 47
_SECCOMP_MODE_FILTER = 2
_NO_ROOT_LOCKED = 0x2F  # NOROOT, NO_SETUID_FIXUP, KEEP_CAPS and NO_CAP_AMBIENT_RAISE, locked


def syscall(name: str, *arguments: Any) -> int:
    """Make a system call; ints, bytes and ctypes pointers are its arguments.

    Raises:
        OSError: it failed, or its number on this machine is not known.
    """
    if name not in _NUMBERS:
        raise OSError(38, f"{name}: the system calls of {MACHINE} are not known")
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(_libc.syscall(ctypes.c_long(_NUMBERS[name]), *words))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def prctl(option: int, *arguments: int) -> None:
    """Set something about this process.

    Raises:
        OSError: it failed.
    """
    syscall("prctl", option, *arguments, *[0] * (4 - len(arguments)))


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies; a change of uid undoes it."""
    prctl(_PR_SET_PDEATHSIG, 9)


def set_dumpable(dumpable: bool) -> None:
    """Allow or forbid others of the same user to look into this process, and to dump its core."""
    prctl(_PR_SET_DUMPABLE, int(dumpable))


def become_subreaper() -> None:
    """Become the parent of every descendant whose own parent dies."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def clone(flags: int) -> int:
    """Fork into new namespaces; only while there is one thread. Returns 0 in the child."""
    return syscall("clone", flags | 17, 0, 0, 0, 0)  # 17: SIGCHLD


def unshare(flags: int) -> None:
    """Move this process (for NEWPID: its next children) into new namespaces."""
    syscall("unshare", flags)


def setns(fd: int, kind: int) -> None:
    """Move this process (for NEWPID: its next children) into the namespace behind `fd`."""
    syscall("setns", fd, kind)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount a file system; empty strings are null pointers."""
    syscall("mount", *[os.fsencode(text) or None for text in (source, target, kind)], flags,
            options.encode() or None)  # fmt: skip


def bind(source: str, target: str) -> None:
    """Bind a tree to another place, read-only, without device nodes and setuid programs.

    A single file is bound without `nodev`, so that a device node works.
    """
    mount(source, target, "", MS_BIND | MS_REC)
    attributes = _ATTR_RDONLY | _ATTR_NOSUID | (_ATTR_NODEV if os.path.isdir(source) else 0)  # noqa: PTH112
    set_read_only(target, attributes, recursive=True)


def set_read_only(target: str, attributes: int = _ATTR_RDONLY, recursive: bool = False) -> None:
    """Add attributes to a mount, and to those below it, leaving the others as they are."""
    record = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    syscall("mount_setattr", _AT_FDCWD, os.fsencode(target), _AT_RECURSIVE if recursive else 0,
            ctypes.byref(record), ctypes.sizeof(record))  # fmt: skip


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root and put the present one at `old` below it."""
    syscall("pivot_root", os.fsencode(new), os.fsencode(old))


def unmount(target: str) -> None:
    """Detach a mount and everything below it."""
    syscall("umount2", os.fsencode(target), MNT_DETACH)


def close_all_but(kept: int) -> None:
    """Close every descriptor but the standard ones and `kept`."""
    if kept > 3:
        syscall("close_range", 3, kept - 1, 0)
    syscall("close_range", kept + 1, 0x7FFFFFFF, 0)


def lock_privileges() -> None:
    """Make the loss of privileges final: no exec and no change of uid gives any back."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    prctl(_PR_CAP_AMBIENT, 4)  # clear all
    try:
        prctl(_PR_SET_SECUREBITS, _NO_ROOT_LOCKED)
        for capability in range(64):
            prctl(_PR_CAPBSET_DROP, capability)
    except OSError:
        pass  # past the last capability of this kernel; or without the right, so nothing to lock


def drop_capabilities() -> None:
    """Give up every capability, whatever the uid."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    syscall("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def install_filter(program: bytes) -> None:
    """Install a seccomp filter: `program` is an array of `struct sock_filter`, 8 bytes each."""
    memory = ctypes.create_string_buffer(program, len(program))
    record = (ctypes.c_uint64 * 2)(len(program) // 8, ctypes.addressof(memory))
    syscall("prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(record), 0, 0)
