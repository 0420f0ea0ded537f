"""Resource limits of each process of a candidate; see setrlimit(2)."""

from __future__ import annotations

import os
import resource

from sandbox.processes import memory_of_this_process
from sandbox.terms import THREADS, Terms

_MIB = 1 << 20
_ADDRESSES = 1 << 46  # bytes of address space that a process may reserve: half of what there is
BESIDE = 128  # MiB of files in memory that may exceed the limit between two looks


class Limits:
    """The limits of the candidates of one runner. Make it after the preload.

    Args:
        terms: the runner's.
        others: threads of the candidates' user that are not theirs.
        largest: MiB of one file.
        cpus: processors of this machine.
    """

    def __init__(self, terms: Terms, others: int, largest: int, cpus: int) -> None:
        self._cpus = cpus
        self._has_device = bool(terms.devices)
        self._least_addresses = memory_of_this_process() + terms.memory * _MIB
        self._same = [
            (what, _below_ceiling(what, most))
            for what, most in {
                resource.RLIMIT_CORE: 0,
                resource.RLIMIT_FSIZE: largest * _MIB,
                resource.RLIMIT_NOFILE: 256,
                resource.RLIMIT_NPROC: others + THREADS * terms.processes,
                resource.RLIMIT_MSGQUEUE: 0,
                resource.RLIMIT_MEMLOCK: 65536,
            }.items()
        ]

    def apply(self, seconds: float, *, is_measured: bool) -> None:
        """Limit this process and its future children.

        The address space is limited generously, because runtimes reserve more than they use. The
        memory in use is limited over all processes, by a control group or by the watcher. Where
        neither is possible, only the address space of each process can be limited.

        Args:
            seconds: how long the candidate may run.
            is_measured: is its memory limited otherwise?
        """
        limits = [*self._same, (resource.RLIMIT_CPU, int(seconds * self._cpus) + 2)]
        if not self._has_device:
            most = _ADDRESSES if is_measured else self._least_addresses
            limits.append((resource.RLIMIT_AS, _below_ceiling(resource.RLIMIT_AS, most)))
        for what, most in limits:
            resource.setrlimit(what, (most, most))


def _below_ceiling(what: int, most: int) -> int:
    ceiling = resource.getrlimit(what)[1]
    return most if ceiling == resource.RLIM_INFINITY else min(most, ceiling)


def has_proc() -> bool:
    """Is there a /proc? Some containers have none."""
    return os.path.exists("/proc/self/status")  # noqa: PTH110
