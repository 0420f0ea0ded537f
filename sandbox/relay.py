"""The relay: carries frames between the host and the present candidate.

It copies a candidate's bytes without interpreting them, marks their source, keeps the end of the
candidate's output, ends evaluations at their deadline, and ends itself when the host is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import time
from typing import Any, Protocol

from sandbox import processes, wire, zygote

_PIECE = 1 << 17  # bytes read at once
_HELD = 1 << 18  # bytes queued for the host; beyond that the candidate waits
_PIPE = 1 << 16  # bytes that a pipe holds
_LOOK = 0.05  # seconds between two checks for kills for lack of memory
_TAIL = 4096  # bytes of a candidate's output that are kept


class Zygote(Protocol):
    """The part of the fork server that the relay uses."""

    control: socket.socket
    pid: int

    def receive(self) -> dict[str, Any]:
        """Return its next message; "gone" after the last one."""
        ...


class Group(Protocol):
    """The part of the zygote's control group that the relay uses."""

    def has_killed(self) -> bool:
        """Has the kernel killed a process for lack of memory since the last call?"""
        ...

    def cpu_time(self) -> int | None:
        """Return the CPU time of all its processes in nanoseconds; None: unknown."""
        ...


class Line:
    """The connections with one candidate: a socket for frames, a pipe for its output."""

    def __init__(self, number: int, control: socket.socket) -> None:
        """Have the zygote fork a candidate that waits for its program."""
        self.number = number
        self.link, its_link = socket.socketpair()
        self.link.setblocking(False)
        self.printed, its_output = os.pipe()
        os.set_blocking(self.printed, False)
        self.outbox = wire.Outbox(self.link.fileno())
        self.tail = bytearray()
        word = json.dumps({"op": "spawn", "number": number}).encode()
        socket.send_fds(control, [word], [its_link.fileno(), its_output])
        its_link.close()
        os.close(its_output)

    def listen(self) -> bool:
        """Read output and keep the end of it; return False when the pipe is closed."""
        try:
            piece = os.read(self.printed, _PIPE)
        except BlockingIOError:
            return True
        self.tail += piece
        del self.tail[:-_TAIL]
        return bool(piece)


class Relay:
    """Carries frames between the host and the present candidate.

    Args:
        source: descriptor from which the host's frames are read.
        sink: descriptor to which frames for the host are written.
        frames: the bytes read from `source` so far.
        child: the zygote, ready.
        group: the control group that it is in.
        keeper: a pidfd of the keeper; None: there is none.
    """

    def __init__(
        self,
        source: int,
        sink: int,
        frames: wire.Frames,
        child: Zygote,
        group: Group | None,
        keeper: int | None = None,
    ) -> None:
        os.set_blocking(source, False)
        os.set_blocking(sink, False)
        self._source, self._sink = source, sink
        self._frames = frames
        self._zygote = child
        self._group = group
        self._to_host = wire.Outbox(sink)
        self._poll = select.poll()
        self._watched: dict[int, int] = {}  # descriptor -> the events that are waited for
        self._watch(source, select.POLLIN)
        self._watch(child.control.fileno(), select.POLLIN)
        self._keeper = keeper
        if keeper is not None:
            self._watch(keeper, select.POLLIN)
        self._line: Line | None = None  # to the present candidate, until its end is reported
        self._is_linked = False  # is its socket open?
        self._deadline: float | None = None
        self._is_alive = False  # the zygote has not reported its end
        self._is_late = False  # it is being killed at its deadline
        self._is_out_of_memory = False  # the kernel has killed one of its processes
        self._looks_at = 0.0  # time of the next check for kills
        self._is_closing = False  # the host waits for "closed"
        self._memory = 0  # bytes at its peak, once it is dead
        self._decoys: list[str] = []  # that it opened, once it is dead
        self._ending: dict[str, Any] | None = None  # sent after the last bytes that it wrote
        self._stillborn: dict[str, Any] | None = (
            None  # the end of the next one, if it died while waiting
        )
        self._next = Line(1, child.control)

    def serve(self) -> None:
        """Work until the host, the zygote or the keeper is gone."""
        while self._turn():
            pass

    def _watch(self, fd: int, events: int) -> None:
        if self._watched.get(fd, 0) == events:
            return
        self._watched[fd] = events
        if events:
            self._poll.register(fd, events)
        else:
            self._poll.unregister(fd)

    def _turn(self) -> bool:
        self._watch(self._sink, select.POLLOUT if self._to_host.size else 0)
        line = self._line  # reading from the host may close it
        link = line.link.fileno() if line is not None and self._is_linked else -1
        if line is not None and link >= 0:
            reading = select.POLLIN if self._to_host.size < _HELD else 0
            self._watch(link, reading | (select.POLLOUT if line.outbox.size else 0))
        wait = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        if wait is not None and self._group is not None:
            wait = min(wait, _LOOK)
        events = dict(self._poll.poll(None if wait is None else wait * 1000 + 1))
        if self._keeper in events:
            return False
        if self._zygote.control.fileno() in events and not self._hear_zygote():
            return False
        if line is not None and line is self._line:
            if line.printed in events and not line.listen():
                self._watch(line.printed, 0)
            if link in events and self._is_linked:
                self._carry(line)
        if self._source in events and not self._hear_host():
            return False
        if self._deadline is not None:
            self._watch_over(self._deadline, time.monotonic())
        self._to_host.flush()
        return True

    def _watch_over(self, deadline: float, now: float) -> None:
        """Kill the candidate at its deadline, or once the kernel has killed a process of it."""
        if self._group is not None and now >= self._looks_at:
            self._looks_at = now + _LOOK
            self._is_out_of_memory = self._group.has_killed()
        self._is_late = now >= deadline
        if self._is_out_of_memory or self._is_late:
            self._kill()

    # --- the host -------------------------------------------------------------------------------

    def _hear_host(self) -> bool:
        try:
            if not self._frames.read(self._source):
                return False
        except BlockingIOError:
            return True
        while (message := self._frames.take()) is not None:
            header, body = message
            match header["op"]:
                case "open":
                    self._open(header["timeout"])
                case "data":
                    if self._line is not None and self._is_linked:
                        self._line.outbox.add([body])
                case "printed" | "cpu" as what:
                    self._report_on(what)
                case "close":
                    self._close()
        if self._line is not None and self._is_linked:
            self._push(self._line)
        return True

    def _open(self, timeout: float) -> None:
        self._line, self._is_linked = self._next, True
        self._watch(self._line.printed, select.POLLIN)
        self._deadline = time.monotonic() + timeout
        self._ending, self._stillborn = self._stillborn, None
        self._is_alive = self._ending is None
        self._is_late = self._is_closing = self._is_out_of_memory = False
        self._memory = 0
        self._decoys = []
        # Forked ahead, so that the next evaluation does not wait for it.
        self._next = Line(self._line.number + 1, self._zygote.control)

    def _report_on(self, what: str) -> None:
        self._send_printed() if what == "printed" else self._send_cpu_time()

    def _send_printed(self) -> None:
        """Send the end of the candidate's output up to its last answer."""
        tail = bytearray()
        if self._line is not None:
            self._line.listen()
            tail = self._line.tail
        self._to_host.add(wire.frame({"op": "printed"}, bytes(tail)))

    def _send_cpu_time(self) -> None:
        """Send the kernel's accounts of the candidate, its threads and children, and its processor.

        A control group counts the zygote and the waiting candidate too, but both are idle.
        """
        taken = self._group.cpu_time() if self._group is not None else None
        if taken is None:
            taken = processes.cpu_below(self._zygote.pid)
        waited = processes.waited_below(self._zygote.pid)
        processor = processes.processor_below(self._zygote.pid)
        self._to_host.add(
            wire.frame({"op": "cpu", "taken": taken, "waited": waited, "processor": processor})
        )

    def _close(self) -> None:
        """Stop carrying the candidate's bytes, and report when it is dead."""
        self._drop_link()
        if self._line is not None:
            self._watch(self._line.printed, 0)
        self._deadline = None
        self._is_closing = True
        if self._is_alive:
            self._kill()
        else:
            self._report()

    def _report(self) -> None:
        """Report to the host that the candidate is dead, after the last byte that it wrote."""
        line = self._line
        if self._is_closing:
            self._is_closing = False
            closed = {"op": "closed", "memory": self._memory, "decoys": self._decoys}
            self._to_host.add(wire.frame(closed))
        elif self._ending is not None and line is not None:
            line.listen()
            self._to_host.add(wire.frame(self._ending, bytes(line.tail)))
        self._ending = None
        if line is not None:
            self._watch(line.printed, 0)
            os.close(line.printed)
            self._line = None

    # --- the zygote -----------------------------------------------------------------------------

    def _hear_zygote(self) -> bool:
        message = self._zygote.receive()
        if message["op"] != "ended":
            return False
        if message["number"] == self._next.number:
            self._stillborn = {**message, "late": False, "out_of_memory": False}
            return True
        self._is_alive = False
        self._deadline = None
        self._memory, self._decoys = message["memory"], message["decoys"]
        self._is_out_of_memory |= self._group is not None and self._group.has_killed()
        self._ending = {**message, "late": self._is_late, "out_of_memory": self._is_out_of_memory}
        if not self._is_linked:
            self._report()
        return True

    def _kill(self) -> None:
        """Have the zygote kill the candidate; it answers with the wait status."""
        self._deadline = None
        if self._line is not None:
            with contextlib.suppress(OSError):
                zygote.send(self._zygote.control, {"op": "kill", "number": self._line.number})

    # --- the candidate --------------------------------------------------------------------------

    def _carry(self, line: Line) -> None:
        """Pass on bytes from the candidate, if there is room, and write those queued for it."""
        if self._to_host.size < _HELD:
            try:
                piece = line.link.recv(_PIECE)
            except BlockingIOError:
                pass
            except OSError:
                self._hang_up()
                return
            else:
                if not piece:
                    self._hang_up()
                    return
                self._to_host.add(wire.frame({"op": "data"}, piece))
        self._push(line)

    def _push(self, line: Line) -> None:
        try:
            line.outbox.flush()
        except OSError:
            self._hang_up()

    def _hang_up(self) -> None:
        """Handle the end of the link: the candidate is dead, or has closed it."""
        self._drop_link()
        if self._is_alive:
            self._kill()
        else:
            self._report()

    def _drop_link(self) -> None:
        if self._line is not None and self._is_linked:
            self._is_linked = False
            self._watch(self._line.link.fileno(), 0)
            self._line.link.close()
