"""The runner: a relay between the host and one candidate at a time, and the zygote below it.

    host  <--- one channel --->  relay  <--- a socket for each evaluation --->  candidate
                                   |                                               ^
                                   '--- control --->  zygote  ------ forks --------'

The relay copies a candidate's bytes without reading them, marks where they come from, ends
evaluations at their deadline, and ends everything when the host is gone. It is a process of its
own so that the zygote, whose memory every candidate inherits, holds nobody's data, and so that a
backend needs no more than one attached stream.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
import traceback
from collections.abc import Sequence
from typing import Any

from sandbox import cells, cgroup, kernel, wire, zygote
from sandbox.terms import Terms

_PIECE = 1 << 16  # bytes read at once: more would be a mapping made and dropped each time
_HELD = 1 << 18  # bytes held on the way to the host before the candidate has to wait
_SLACK = 64  # MiB in the memory group for what all candidates share and for the one that waits
_PATIENCE = 1.0  # seconds for the zygote to bury a candidate


class Zygote:
    """The relay's end of the fork server.

    Raises:
        OSError: this host has not what the tier needs.
    """

    def __init__(
        self, terms: Terms, place: cells.PlainCells, is_warm: bool, channel: Sequence[int]
    ) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = kernel.clone(place.flags) if place.flags else os.fork()
        if self.pid == 0:
            for fd in channel:  # the host's: nothing below has it
                os.close(fd)
            self.control.close()
            zygote.run(theirs, terms, place, is_warm)
        theirs.close()
        if isinstance(place, cells.NamespaceCells):
            place.map_users(self.pid)

    def start(self) -> dict[str, Any]:
        """Let it prepare and preload; return its report."""
        self.control.sendall(b"!")
        return self.receive()

    def receive(self) -> dict[str, Any]:
        """Return its next message; "gone" when there will be none."""
        packet = self.control.recv(8192)
        return json.loads(packet) if packet else {"op": "gone", "message": "the zygote died"}

    def end(self) -> None:
        """End it and all that lives below it; in tier A the kernel sees to that."""
        self.control.close()  # it kills its candidate and leaves
        ended = os.pidfd_open(self.pid)
        watch = select.poll()
        watch.register(ended, select.POLLIN)
        if not watch.poll(_PATIENCE * 1000):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(ended)


def start(terms: Terms, channel: Sequence[int]) -> tuple[Zygote, dict[str, Any]]:
    """Start a zygote on these terms; return it with its report and the notes on it.

    A preload that starts threads makes forking unsafe: a lock that a thread holds stays locked in
    the fork for ever. Then the preload is left to each candidate.

    Raises:
        OSError: this host has not what the tier needs.
    """
    notes: list[str] = []
    is_warm = True
    while True:
        child = Zygote(terms, cells.choose(terms), is_warm, channel)
        report = child.start()
        if report["op"] != "threads":
            return child, {**report, "notes": notes}
        child.end()
        is_warm = False
        notes.append(
            f"importing {', '.join(terms.preload)} starts threads ({report['count']} in all), so "
            "each evaluation imports them afresh"
        )


def make_group(terms: Terms, child: Zygote, notes: list[str]) -> cgroup.Group:
    """Put the zygote under limits that count all candidates' processes together."""
    if terms.tier == "docker":
        return cgroup.Enclosing()
    # Besides the candidate's there are the zygote's own and those of the one that waits.
    group = cgroup.Group((terms.memory + _SLACK) << 20, 2 * terms.processes + 16)
    try:
        group.admit(child.pid)
    except OSError as error:
        notes.append(f"control groups cannot be used: {error}")
    if "memory" in group.lacks:
        zygote.send(child.control, {"op": "watch memory"})
        notes.append("no writable memory cgroup: memory of several processes is limited by looking")
    return group


def write_all(sink: int, content: bytes) -> None:
    """Write everything to a blocking descriptor."""
    while content:
        content = content[os.write(sink, content) :]


class Relay:
    """Carries frames between the host and the candidate of the moment.

    Args:
        source: descriptor from which the host's frames are read.
        sink: descriptor to which frames for the host are written.
        frames: what has been read of `source` so far.
        child: the zygote, ready.
        group: the control group that it is in.
    """

    def __init__(
        self,
        source: int,
        sink: int,
        frames: wire.Frames,
        child: Zygote,
        group: cgroup.Group | None,
    ) -> None:
        self._source, self._sink = source, sink
        self._frames = frames
        self._zygote = child
        self._group = group
        self._to_host = bytearray()
        self._to_candidate = bytearray()
        self._number = 0  # of the present candidate, or of the last one
        self._link: socket.socket | None = None  # to it
        self._deadline: float | None = None
        self._is_alive = False  # its end has not been reported
        self._is_late = False  # it is being killed at its deadline
        self._is_closing = False  # the host waits for "closed"
        self._memory = 0  # bytes that it took at its peak, once it is dead
        self._ending: dict[str, Any] | None = None  # to be told when all that it wrote is
        self._stillborn: dict[str, Any] | None = None  # how the next one ended before its time
        self._next = self._spawn(1)

    def _spawn(self, number: int) -> socket.socket:
        """Have a candidate forked that waits for its program; return the link to it."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        word = json.dumps({"op": "spawn", "number": number}).encode()
        socket.send_fds(self._zygote.control, [word], [theirs.fileno()])
        theirs.close()
        return ours

    def serve(self) -> None:
        """Work until the host or the zygote is gone."""
        os.set_blocking(self._source, False)
        os.set_blocking(self._sink, False)
        while self._turn():
            pass

    def _turn(self) -> bool:
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        poll.register(self._zygote.control, select.POLLIN)
        if self._to_host:
            poll.register(self._sink, select.POLLOUT)
        if self._link is not None:
            reading = select.POLLIN if len(self._to_host) < _HELD else 0
            poll.register(self._link, reading | (select.POLLOUT if self._to_candidate else 0))
        wait = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        events = dict(poll.poll(None if wait is None else wait * 1000 + 1))
        if self._zygote.control.fileno() in events and not self._hear_zygote():
            return False
        link = self._link  # may go while the host is heard
        if link is not None and link.fileno() in events:
            self._carry(link, events[link.fileno()])
        if self._source in events and not self._hear_host():
            return False
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._is_late = True
            self._kill()
        self._flush()
        return True

    def _hear_host(self) -> bool:
        try:
            piece = os.read(self._source, _PIECE)
        except BlockingIOError:
            return True
        if not piece:
            return False
        self._frames.feed(piece)
        while (message := self._frames.take()) is not None:
            header, body = message
            match header["op"]:
                case "open":
                    self._open(header["timeout"])
                case "data":
                    if self._link is not None:
                        self._to_candidate += body
                case "close":
                    self._close()
        return True

    def _open(self, timeout: float) -> None:
        self._number += 1
        self._link = self._next
        self._deadline = time.monotonic() + timeout
        self._ending, self._stillborn = self._stillborn, None
        self._is_alive = self._ending is None
        self._is_late = self._is_closing = False
        # Forked ahead, so that the next evaluation does not wait for it.
        self._next = self._spawn(self._number + 1)

    def _close(self) -> None:
        """Let nothing more of the candidate through, and report when it is dead."""
        self._drop_link()
        self._deadline = None
        self._is_closing = True
        if self._is_alive:
            self._kill()
        else:
            self._report()

    def _hear_zygote(self) -> bool:
        message = self._zygote.receive()
        if message["op"] != "ended":
            return False
        if message["number"] != self._number:
            self._stillborn = {**message, "late": False, "out_of_memory": False}
            return True
        self._is_alive = False
        self._deadline = None
        self._memory = message["memory"]
        is_out_of_memory = self._group is not None and self._group.has_killed()
        self._ending = {**message, "late": self._is_late, "out_of_memory": is_out_of_memory}
        if self._link is None:
            self._report()
        return True

    def _report(self) -> None:
        """Tell the host that the candidate is dead, after the last byte that it wrote."""
        if self._is_closing:
            self._is_closing = False
            self._to_host += b"".join(wire.frame({"op": "closed", "memory": self._memory}))
        elif self._ending is not None:
            self._to_host += b"".join(wire.frame(self._ending))
        self._ending = None

    def _carry(self, link: socket.socket, events: int) -> None:
        try:
            if events & select.POLLOUT and self._to_candidate:
                del self._to_candidate[: link.send(self._to_candidate)]
            if events & ~select.POLLOUT and len(self._to_host) < _HELD:
                piece = link.recv(_PIECE)
                if piece:
                    self._to_host += b"".join(wire.frame({"op": "data"}, piece))
                else:
                    self._hang_up()
        except BlockingIOError:
            pass
        except OSError:
            self._hang_up()

    def _hang_up(self) -> None:
        """The candidate's side is closed: it is dead, or of no use any more."""
        self._drop_link()
        if self._is_alive:
            self._kill()
        else:
            self._report()

    def _drop_link(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        self._to_candidate.clear()

    def _kill(self) -> None:
        """Ask for the candidate's death; the zygote answers with its wait status."""
        self._deadline = None
        with contextlib.suppress(OSError):
            zygote.send(self._zygote.control, {"op": "kill", "number": self._number})

    def _flush(self) -> None:
        if self._to_host:
            with contextlib.suppress(BlockingIOError):
                del self._to_host[: os.write(self._sink, self._to_host)]


def main(source: int, sink: int) -> None:
    """Be the runner on this channel: read the terms, start the zygote, relay. Never returns."""
    source, sink = os.dup(source), os.dup(sink)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)
    frames = wire.Frames(1 << 40)
    while (message := frames.take()) is None:
        piece = os.read(source, 1 << 20)
        if not piece:
            os._exit(0)
        frames.feed(piece)
    header, body = message
    terms = Terms.read(header, wire.decode(header["files"], body))
    child = group = None
    try:
        child, report = start(terms, (source, sink))
        if report["op"] == "ready":
            group = make_group(terms, child, report["notes"])
            report["memory"] = group.memory()
        kernel.set_dumpable(False)
        write_all(sink, b"".join(wire.frame(report)))
        if report["op"] == "ready":
            Relay(source, sink, frames, child, group).serve()
    except Exception:  # noqa: BLE001 - nobody above this process could tell the host what went wrong
        with contextlib.suppress(OSError):
            reason = traceback.format_exc()[-3000:]
            write_all(sink, b"".join(wire.frame({"op": "failed", "message": reason})))
    finally:
        if child is not None:
            child.end()
        if group is not None:
            group.remove()
        os._exit(0)
