"""The keeper: the runner's parent, which outlives it and kills the processes that it leaves.

A runner may be killed, or it hangs and the host gives it up. In a process namespace the kernel then
kills all processes; without one, a fork bomb would go on. The keeper is a subreaper (prctl(2)): a
process below it stays below it, whatever its parents and sessions do.

If the keeper is killed, the runner ends and kills the processes below itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Sequence

from sandbox import cgroup, kernel, processes

_SIGNALS = {signal.SIGCHLD, signal.SIGTERM}
_PAUSE = 0.001  # seconds for killed processes to die


def keep(channel: Sequence[int]) -> int:
    """Fork the runner, and return in it; this process becomes its keeper and never returns.

    SIGTERM has the keeper kill the runner and all below it.

    Args:
        channel: the host's descriptors, which the keeper closes, so that they end with the runner.

    Returns:
        A pidfd of the keeper: it is readable when the keeper is dead.
    """
    kernel.become_subreaper()
    keeper = os.pidfd_open(os.getpid())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the parent may have ignored it
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    runner = os.fork()
    if runner == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.setsid()  # a signal to the keeper's group reaches the keeper only
        return keeper
    try:
        for fd in (keeper, *channel):
            os.close(fd)
        kernel.set_dumpable(False)
        _watch(runner)
        cgroup.sweep()
        kill_descendants()
    finally:
        os._exit(0)


def _watch(runner: int) -> None:
    """Return when the runner has ended; on SIGTERM, kill it."""
    while signal.sigwait(_SIGNALS) == signal.SIGCHLD:
        if runner in _reap():
            return
    os.kill(runner, signal.SIGKILL)
    os.waitpid(runner, 0)


def kill_descendants() -> None:
    """Kill and reap all processes below this one, which is their subreaper.

    All are stopped before any is killed, round after round: when a process of a fork bomb dies at
    the limit of processes, another one could take its place.
    """
    while stopped := _stop_descendants():
        _signal(stopped, signal.SIGKILL)
        _reap()
        time.sleep(_PAUSE)


def _stop_descendants() -> set[int]:
    """Stop all processes below this one until no new one is found; return their pids."""
    stopped: set[int] = set()
    while new := set(processes.descendants(os.getpid())) - stopped:
        _signal(new, signal.SIGSTOP)
        stopped |= new
    return stopped


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _reap() -> set[int]:
    """Return the pids of the children that have ended."""
    ended: set[int] = set()
    with contextlib.suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            ended.add(pid)
    return ended
