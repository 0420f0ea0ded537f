"""Landlock: limits for good which files a process may access; root is not needed.

https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import os
import stat
import struct

from sandbox.kernel import syscall

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_IOCTL_DEV = 1 << 15
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | _IOCTL_DEV  # 1 << 14: truncate
_READ = _EXECUTE | _READ_FILE | _READ_DIR
#: Rights of the file system that each version of the interface knows.
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}


def version() -> int:
    """Return the version of the kernel's interface; 0 if the kernel has no Landlock."""
    try:
        return syscall("landlock_create_ruleset", 0, 0, 1)
    except OSError:
        return 0


def keeps_signals() -> bool:
    """Can it restrict signals and abstract sockets?"""
    return version() >= 6


class Ruleset:
    """A list of allowed accesses; once it is applied, all others are refused.

    Args:
        network: do not restrict TCP; else it is refused, from version 4 on.

    Raises:
        OSError: the kernel has no Landlock.
    """

    def __init__(self, *, network: bool) -> None:
        found = version()
        self._rights = _RIGHTS.get(found, (1 << 16) - 1)
        tcp = 0 if network else 3
        fields = [self._rights] + ([tcp] if found >= 4 else []) + ([3] if found >= 6 else [])
        record = struct.pack(f"={len(fields)}Q", *fields)
        self.fd = syscall("landlock_create_ruleset", record, len(record), 0)

    def allow(self, path: str, *, write: bool = False) -> None:
        """Allow reading and executing at and below `path`; with `write`, all accesses.

        Raises:
            OSError: there is nothing at `path`.
        """
        self._allow(path, self._rights if write else _READ)

    def allow_listing(self, path: str) -> None:
        """Allow listing directories at and below `path`, which imports need.

        Raises:
            OSError: there is nothing at `path`.
        """
        self._allow(path, _READ_DIR)

    def _allow(self, path: str, rights: int) -> None:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                rights &= _ON_FILES
            record = struct.pack("=Qi", rights & self._rights, place)
            syscall("landlock_add_rule", self.fd, 1, record, 0)
        finally:
            os.close(place)

    def apply(self) -> None:
        """Restrict this process and its future children; needs no_new_privs."""
        syscall("landlock_restrict_self", self.fd, 0)
