"""The fork server: it has imported what the task preloads, and forks one candidate at a time.

It never reads a byte that comes from or goes to a candidate, because its memory is what every later
candidate inherits: the relay passes it the socket of an evaluation, unread.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import Any

from sandbox import kernel, session, wire
from sandbox.cells import PlainCells
from sandbox.terms import Terms


class Zygote:
    """Forks candidates on the relay's word, watches them and kills them.

    Args:
        control: SOCK_SEQPACKET to the relay, one JSON object in each packet.
        terms: the runner's terms.
        cells: where candidates live; prepared already.
        is_warm: is everything preloaded here? If not, each candidate does it for itself.
    """

    def __init__(
        self, control: socket.socket, terms: Terms, cells: PlainCells, is_warm: bool
    ) -> None:
        self._control = control
        self._terms = terms
        self._cells = cells
        self._is_warm = is_warm

    def serve(self) -> None:
        """Work until the relay is gone."""
        while True:
            message, fds = self._receive()
            if message["op"] == "spawn":
                self._spawn(message, fds[0])

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        packet, fds, _, _ = socket.recv_fds(self._control, 4096, 1)
        if not packet:
            self._cells.remove()
            os._exit(0)
        return json.loads(packet), fds

    def _spawn(self, message: dict[str, Any], link: int) -> None:
        try:
            pid = self._cells.fork()
        except OSError as error:
            os.close(link)
            send(self._control, {"op": "ended", "status": None, "message": str(error)})
            return
        if pid == 0:
            self._live(message, link)
        os.close(link)
        status = self._wait(pid)
        self._cells.sweep()
        send(self._control, {"op": "ended", "status": status})

    def _wait(self, pid: int) -> int:
        """Wait for a candidate to end, or for the word to kill it; return its wait status."""
        watched = os.pidfd_open(pid)
        try:
            ready = select.poll()
            ready.register(watched, select.POLLIN)
            ready.register(self._control, select.POLLIN)
            if watched not in dict(ready.poll()):
                os.kill(pid, signal.SIGKILL)  # not reaped yet, so the pid is still its own
                status = os.waitpid(pid, 0)[1]
                message = self._control.recv(4096)
                if not message:
                    self._cells.sweep()
                    self._cells.remove()
                    os._exit(0)
                return status
            return os.waitpid(pid, 0)[1]
        finally:
            os.close(watched)

    def _live(self, message: dict[str, Any], link: int) -> None:
        """Be the candidate's process; never returns."""
        try:
            kernel.die_with_parent()
            os.setsid()
            os.dup2(link, 3)
            with socket.socket(fileno=3) as channel:
                connection = session.Connection(channel)
                self._candidate(message, connection)
        finally:
            os._exit(70)

    def _candidate(self, message: dict[str, Any], connection: session.Connection) -> None:
        try:
            start, body = connection.receive()
            files = wire.decode(start["files"], body)
            root, scratch = self._cells.furnish(files)
            os.chdir(scratch)
            self._cells.confine(message["timeout"])
            os.environ.update(HOME=scratch, TMPDIR=scratch)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if not self._is_warm:
                preload(self._terms.preload)
            evaluation = session.Session(connection, self._terms, start, files, root)
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


def send(control: socket.socket, message: dict[str, Any]) -> None:
    """Send one packet between zygote and relay."""
    control.sendall(json.dumps(message).encode())


def run(control: socket.socket, terms: Terms, cells: PlainCells, is_warm: bool) -> None:
    """Be the zygote: prepare, preload, report, serve. Never returns."""
    try:
        kernel.die_with_parent()
        if control.recv(1) != b"!":  # the relay has mapped our uids
            return
        sys.path[:] = terms.path
        cells.prepare()
        kernel.set_dumpable(False)
        if is_warm:
            preload(terms.preload)
        threads = 1
        with contextlib.suppress(OSError):
            threads = len(os.listdir("/proc/self/task"))
        if threads > 1:
            send(control, {"op": "threads", "count": threads})
            return
        cells.measure()
        gc.collect()
        gc.freeze()
        send(control, {"op": "ready"})
        Zygote(control, terms, cells, is_warm).serve()
    except BaseException:  # this process has nobody above it who could tell the host
        send(control, {"op": "failed", "message": traceback.format_exc()[-3000:]})
    finally:
        os._exit(1)
