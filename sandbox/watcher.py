"""Limits of memory and of files, where the kernel does not enforce them here."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sandbox.files import is_within
from sandbox.processes import SOCKET, Holdings, descendants, holdings, share_of, taken_in
from sandbox.terms import MOST_FILES, Terms

_MIB = 1 << 20
_LOOKS = 2  # at which open files may be on their way from process to process
_SOONEST, _LATEST = 0.01, 0.1  # seconds between two looks
_PACE = 4096 * _MIB  # bytes that one processor may fill in a second
_MOST_PACES = 8  # processors that fill memory no faster together than these


class Watcher:
    """Measures the memory and files of the present candidate.

    Args:
        terms: the runner's.
        scratch: the folder on a disk to which candidates write; "": they write to none.
        own: mount points of file systems in memory that each candidate has for itself.
        cpus: processors of this machine.

    Attributes:
        looks_at_memory: set when no control group limits it.
        patience: seconds until the next look.
    """

    def __init__(self, terms: Terms, scratch: str, own: Sequence[str], cpus: int) -> None:
        self.looks_at_memory = False
        self.patience = _LATEST
        self._terms = terms
        self._scratch = scratch
        self._own = own
        self._pace = _PACE * min(cpus, _MOST_PACES)
        self._sending = 0  # looks in a row at which open files were on their way
        with open(os.memfd_create("any"), "rb") as file:  # noqa: PTH123
            self._memory_device = os.fstat(file.fileno()).st_dev  # of files that never have a name

    def excess(self, pid: int) -> str:
        """Return which limit a candidate exceeds, or "".

        Args:
            pid: its first process.
        """
        if not self.looks_at_memory and not self._scratch:
            return ""
        pids = [pid, *descendants(pid)]
        try:
            held = [holdings(one, memory=self.looks_at_memory) for one in pids]
            files = {identity: size for one in held for identity, size in one.files.items()}
            memory = self._memory(pids, held, files) if self.looks_at_memory else 0
        except PermissionError:
            return "it hid its memory or its open files"
        sends = any(one.sends for one in held)
        # The size of such files cannot be seen, because a socket may travel in a socket. An honest
        # program has some on their way for a moment only.
        self._sending = self._sending + 1 if sends else 0
        if self._sending > _LOOKS:
            return "it hid open files in its sockets"
        if (left := self._terms.memory * _MIB - memory) < 0:
            return f"it used more than [sandbox] memory = {self._terms.memory} MiB"
        # The nearer to the limit, the sooner the next look.
        self.patience = min(max(left / self._pace, _SOONEST), _LATEST)
        nameless = sum(files[one] for one in files if one[0] != self._memory_device)
        if self._scratch and not is_within(
            self._scratch, self._terms.scratch * _MIB - nameless, MOST_FILES
        ):
            return f"it wrote more than {self._terms.scratch} MiB or {MOST_FILES} files"
        return ""

    def _memory(
        self, pids: list[int], held: list[Holdings], files: dict[tuple[int, int], int]
    ) -> int:
        """Return the bytes that these processes have in memory, without files of libraries.

        A mapped part of a file in memory is counted twice, in the file and in the process; telling
        them apart would cost too much. So the larger of the two sums counts, at least half of both.

        Raises:
            PermissionError: a process cannot be inspected.
        """
        filed = self._memory_of_files(pids[0], files)
        sockets = frozenset().union(*(one.sockets for one in held))
        other = sum(one.tables for one in held) + SOCKET * len(sockets)
        private, shared = sum(one.private for one in held), sum(one.shared for one in held)
        if private + other + max(shared, filed) > self._terms.memory * _MIB:
            # Shared pages were counted once for each process: now measure exactly, which is slow.
            # Twice, because the shares of the others grow when a process ends meanwhile.
            closely = [[share_of(one) for one in pids] for _ in range(2)]
            sums = [tuple(map(sum, zip(*shares, strict=True))) for shares in closely]
            private, shared = min(sums, key=sum)
        return private + other + max(shared, filed)

    def _memory_of_files(self, pid: int, files: dict[tuple[int, int], int]) -> int:
        """Return the bytes of files in memory: in its own file systems, or without a name.

        Where it cannot be told whether a file lies in memory or on a disk, it counts as both.
        """
        taken = taken_in(pid, self._own)
        return sum(taken.values()) + sum(files[one] for one in files if one[0] not in taken)
