"""The runner: a relay between the host and one candidate at a time, and the zygote below it.

    host  <--- one channel --->  relay  <--- a socket for each evaluation --->  candidate
                                  ^ |                                               ^
    keeper  ----- forks ----------' '--- control --->  zygote  ------ forks --------'

The relay is a process of its own for two reasons: every candidate inherits the zygote's memory, so
it must hold no data of another; and a backend needs only one attached stream.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import traceback
from collections.abc import Sequence
from typing import Any

from sandbox import cells, cgroup, container, keeper, kernel, namespaces, relay, wire, zygote
from sandbox.terms import THREADS, Terms

_SLACK = 64  # MiB in the memory group for shared pages and for the waiting candidate
_PATIENCE = 1.0  # seconds for the zygote to bury a candidate


class Zygote:
    """The relay's end of the fork server.

    Raises:
        OSError: this host lacks something that the tier needs.
    """

    def __init__(
        self, terms: Terms, place: cells.PlainCells, is_warm: bool, channel: Sequence[int]
    ) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = kernel.clone(place.flags) if place.flags else os.fork()
        if self.pid == 0:
            for fd in channel:  # no process below may have the host's descriptors
                os.close(fd)
            self.control.close()
            zygote.run(theirs, terms, place, is_warm)
        theirs.close()
        if isinstance(place, namespaces.NamespaceCells):
            place.map_users(self.pid)

    def start(self) -> dict[str, Any]:
        """Have it prepare and preload; return its report."""
        self.control.sendall(b"!")
        return self.receive()

    def receive(self) -> dict[str, Any]:
        """Return its next message; "gone" after the last one."""
        packet = self.control.recv(8192)
        return json.loads(packet) if packet else {"op": "gone", "message": "the zygote died"}

    def end(self) -> None:
        """End it and the processes below it; in tier A the kernel kills those."""
        self.control.close()  # then it kills its candidates and ends
        ended = os.pidfd_open(self.pid)
        watch = select.poll()
        watch.register(ended, select.POLLIN)
        if not watch.poll(_PATIENCE * 1000):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(ended)


def cells_of(terms: Terms) -> cells.PlainCells:
    """Return the cells of the tier that the terms name."""
    match terms.tier:
        case "A":
            return namespaces.NamespaceCells(terms, own_users=namespaces.own_users_work())
        case "B":
            return cells.LandlockCells(terms)
        case "docker":
            return container.ContainerCells(terms)
    return cells.PlainCells(terms)


def start(terms: Terms, channel: Sequence[int]) -> tuple[Zygote, dict[str, Any]]:
    """Start a zygote on these terms; return it with its report.

    A preload that starts threads makes forking unsafe: a lock that a thread holds stays locked in
    the fork for ever. Then each candidate imports the modules itself.

    Raises:
        OSError: this host lacks something that the tier needs.
    """
    notes: list[str] = []
    is_warm = True
    while True:
        child = Zygote(terms, cells_of(terms), is_warm, channel)
        report = child.start()
        if report["op"] != "threads":
            return child, {**report, "notes": [*notes, *report.get("notes", ())]}
        child.end()
        is_warm = False
        notes.append(
            f"importing {', '.join(terms.preload)} starts threads ({report['count']} in all), so "
            "each evaluation imports them afresh"
        )


def make_group(terms: Terms, child: Zygote, notes: list[str]) -> cgroup.Group:
    """Put the zygote into a group that limits all candidates' processes together."""
    if terms.tier == "docker":
        return cgroup.Enclosing()
    # Beside the candidate's there are the processes of the zygote and of the waiting candidate.
    group = cgroup.Group((terms.memory + _SLACK) << 20, 2 * THREADS * terms.processes + 16)
    try:
        group.admit(child.pid)
    except OSError as error:
        notes.append(f"control groups cannot be used: {error}")
    if "memory" in group.lacks:
        zygote.send(child.control, {"op": "watch memory"})
        notes.append(
            "no writable memory cgroup: the runner measures the memory of candidates itself"
        )
    return group


def write_all(sink: int, content: bytes) -> None:
    """Write everything to a blocking descriptor."""
    while content:
        content = content[os.write(sink, content) :]


def main(source: int, sink: int) -> None:
    """Be the runner on this channel: read the terms, start the zygote, relay. Never returns."""
    os.umask(0o022)  # the caller's may be stricter, and candidates have other uids
    source, sink = os.dup(source), os.dup(sink)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)
    frames = wire.Frames(1 << 40)
    while (message := frames.take()) is None:
        if not frames.read(source):
            os._exit(0)
    header, body = message
    terms = Terms.read(header, wire.decode(header["files"], body))
    # When a container ends, the engine kills all its processes.
    watched = None if terms.tier == "docker" else keeper.keep((source, sink))
    kernel.become_subreaper()
    child = group = None
    try:
        child, report = start(terms, [fd for fd in (source, sink, watched) if fd is not None])
        if report["op"] == "ready":
            group = make_group(terms, child, report["notes"])
            report["memory"] = group.memory()
        kernel.set_dumpable(False)
        write_all(sink, b"".join(wire.frame(report)))
        if report["op"] == "ready":
            relay.Relay(source, sink, frames, child, group, watched).serve()
    except Exception:  # noqa: BLE001 - the host gets every failure as a report
        with contextlib.suppress(OSError):
            reason = traceback.format_exc()[-3000:]
            write_all(sink, b"".join(wire.frame({"op": "failed", "message": reason})))
    finally:
        if child is not None:
            child.end()
        keeper.kill_descendants()  # those that outlived the zygote
        if group is not None:
            group.remove()
        os._exit(0)
