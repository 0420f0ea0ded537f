"""The fork server: it imports the modules of `preload` once, and forks one candidate at a time.

It reads no byte from or for a candidate, because every later candidate inherits its memory: the
relay passes it the socket of an evaluation, unread.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from sandbox import canary, kernel, session, wire
from sandbox.cells import PlainCells
from sandbox.terms import Terms

_SOON = 0.01  # seconds in which a killed process usually dies


class Zygote:
    """Forks, watches and kills candidates at the relay's request.

    Args:
        control: SOCK_SEQPACKET to the relay, one JSON object in each packet.
        terms: the runner's terms.
        place: the cells of the candidates; prepared already.
        is_warm: have the modules been preloaded here? Else each candidate imports them.
    """

    def __init__(
        self, control: socket.socket, terms: Terms, place: PlainCells, is_warm: bool
    ) -> None:
        self._control = control
        self._terms = terms
        self._cells = place
        self._is_warm = is_warm
        self._alive: dict[int, tuple[int, int]] = {}  # pidfd -> number, pid of each candidate
        self._excess: dict[int, str] = {}  # number -> the limit that a candidate exceeded
        self._doomed: set[int] = set()  # numbers of those that are being killed
        self._looks_at = 0.0  # time of the next check of limits
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Work until the relay is gone."""
        while True:
            patience = _SOON if self._doomed else self._cells.watcher.patience
            events = self._poll.poll(patience * 1000 if self._alive else None)
            for fd, _ in events:
                if fd in self._alive:
                    self._bury(fd)
                else:
                    self._hear()
            if self._alive and time.monotonic() >= self._looks_at:
                self._look()
                self._looks_at = time.monotonic() + patience

    def _hear(self) -> None:
        packet, fds, _, _ = socket.recv_fds(self._control, 4096, 2)
        if not packet:
            self._end()
        message = json.loads(packet)
        if message["op"] == "spawn":
            self._spawn(message["number"], *fds)
        elif message["op"] == "watch memory":
            self._cells.watcher.looks_at_memory = True
        else:
            for number, pid in self._alive.values():
                if number == message["number"]:
                    os.kill(pid, signal.SIGKILL)  # not reaped yet, so the pid is still its own
                    self._doomed.add(number)
                    self._looks_at = time.monotonic() + _SOON

    def _look(self) -> None:
        """Kill the candidate if it exceeds a limit that the kernel does not enforce."""
        (number, pid), *others = self._alive.values()  # the first is at work, the other one waits
        spared = {pid for _, pid in others}
        if number not in self._doomed and (reason := self._cells.excess(pid, spared)):
            self._excess[number] = reason
            self._doomed.add(number)
        if number in self._doomed:
            self._cells.kill_all(pid, spared)

    def _spawn(self, number: int, link: int, output: int) -> None:
        try:
            pid = self._cells.fork(number)
        except OSError as error:
            os.close(link)
            os.close(output)
            report = {"op": "ended", "number": number, "status": None, "excess": str(error)}
            send(self._control, {**report, "memory": 0, "decoys": []})
            return
        if pid == 0:
            self._live(link, output)
        os.close(link)
        os.close(output)
        watched = os.pidfd_open(pid)
        self._alive[watched] = number, pid
        self._poll.register(watched, select.POLLIN)

    def _bury(self, watched: int) -> None:
        """Reap a candidate and the processes that it left; report its end and its memory."""
        self._poll.unregister(watched)
        os.close(watched)
        number, pid = self._alive.pop(watched)
        _, status, usage = os.wait4(pid, 0)
        self._cells.bury(number, spared={pid for _, pid in self._alive.values()})
        excess = self._excess.pop(number, "")
        self._doomed.discard(number)
        report = {"op": "ended", "number": number, "status": status, "excess": excess}
        report |= {"memory": usage.ru_maxrss << 10, "decoys": self._cells.decoys.opened()}
        send(self._control, report)

    def _end(self) -> None:
        for _, pid in self._alive.values():
            os.kill(pid, signal.SIGKILL)
        for number, pid in self._alive.values():
            os.waitpid(pid, 0)
            self._cells.bury(number, spared=set())
        self._cells.remove()
        os._exit(0)

    def _live(self, link: int, output: int) -> None:
        """Be the candidate's process; never returns."""
        try:
            for fd in (1, 2):  # the relay keeps the end of its output
                os.dup2(output, fd)
            os.set_inheritable(link, False)  # its commands do not get it
            kernel.die_with_parent()
            os.setsid()
            self._candidate(session.Connection(link), link)
        finally:
            os._exit(70)

    def _candidate(self, connection: session.Connection, link: int) -> None:
        try:
            self._cells.furnish()
            session.rehearse(self._terms)
            start, body = connection.receive()
            files = wire.decode(start["files"], body)
            root, scratch = self._cells.lay_out_program(files)
            self._cells.confine(start["timeout"])
            os.chdir(scratch)
            kernel.close_all_but(link)
            os.environ.update(HOME=scratch, TMPDIR=scratch)
            if not self._is_warm:
                preload(self._terms.preload)
            evaluation = session.Session(connection, self._terms, start, files, root, scratch)
        except (OSError, ImportError, ValueError):
            connection.send({"op": "broken", "message": traceback.format_exc()})
            return
        connection.send({"op": "confined"})
        evaluation.serve()


def preload(names: list[str]) -> None:
    """Import modules.

    Raises:
        ImportError: one of them cannot be.
    """
    for name in names:
        importlib.import_module(name)
    if "numpy" in sys.modules:
        importlib.import_module("numpy.random")  # numpy imports it late, after the seeding


def hide_runner() -> None:
    """Forget the names of the runner's modules: a candidate's modules may have them."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "sandbox"]:
        del sys.modules[name]


def send(control: socket.socket, message: dict[str, Any]) -> None:
    """Send one packet between zygote and relay."""
    control.sendall(json.dumps(message).encode())


def run(control: socket.socket, terms: Terms, place: PlainCells, is_warm: bool) -> None:
    """Be the zygote: prepare, preload, report, serve. Never returns."""
    try:
        kernel.die_with_parent()
        if control.recv(1) != b"!":  # the relay has mapped our uids
            return
        sys.path[:] = terms.path
        # Candidates do not see a virtual environment's link to it.
        sys.executable = os.path.realpath(sys.executable)
        place.prepare()
        kernel.set_dumpable(False)
        if is_warm:
            preload(terms.preload)
        threads = 1
        with contextlib.suppress(OSError):
            threads = len(list(Path("/proc/self/task").iterdir()))
        if threads > 1:
            send(control, {"op": "threads", "count": threads})
            return
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # keeps the output of a killed candidate
        session.rehearse(terms)  # imports the session's modules before the first fork
        hide_runner()
        os.environ[canary.KEY] = terms.decoy
        place.settle()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        gc.collect()
        gc.freeze()
        send(control, {"op": "ready", "notes": place.notes})
        Zygote(control, terms, place, is_warm).serve()
    except BaseException as error:  # noqa: BLE001 - the host gets every failure as a report
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        message = traceback.format_exc()[-3000:]
        send(control, {"op": "failed", "message": message, "missing": missing})
    finally:
        place.remove()
        os._exit(1)
