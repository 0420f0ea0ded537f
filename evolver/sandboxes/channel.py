"""The host's end of a runner's channel: frames with deadlines over one attached stream."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Any

from evolver.errors import SandboxError
from evolver.sandboxes import wire


class RunnerError(SandboxError):
    """The runner closed its channel or broke the protocol."""


class Channel:
    """Frames to and from a runner.

    Args:
        source: non-blocking descriptor that frames are read from.
        sink: non-blocking descriptor that frames are written to; may be the same.
        close: releases the descriptors.
    """

    def __init__(self, source: int, sink: int, close: Callable[[], None]) -> None:
        self._source, self._sink = source, sink
        self._close = close
        self._frames = wire.Frames(1 << 30)  # from the relay, which is trusted

    def send(self, header: dict[str, Any], *buffers: bytes, deadline: float) -> None:
        """Send a frame.

        Raises:
            TimeoutError: it was not taken by the deadline (`time.monotonic`).
            RunnerError: nobody is there.
        """
        content = memoryview(wire.frame(header, *buffers))
        while content:
            try:
                content = content[os.write(self._sink, content) :]
            except BlockingIOError:
                self._wait(self._sink, select.POLLOUT, deadline)
            except OSError as error:
                raise RunnerError(f"the sandbox's runner is gone: {error}") from None

    def receive(self, deadline: float) -> tuple[dict[str, Any], bytes]:
        """Return the next frame.

        Raises:
            TimeoutError: none came by the deadline (`time.monotonic`).
            RunnerError: none will come.
        """
        while True:
            message = self._frames.take()
            if message is not None:
                return message
            self._wait(self._source, select.POLLIN, deadline)
            try:
                piece = os.read(self._source, 1 << 16)
            except BlockingIOError:
                continue
            except OSError as error:
                raise RunnerError(f"the sandbox's runner is gone: {error}") from None
            if not piece:
                raise RunnerError("the sandbox's runner ended")
            self._take_in(piece)

    def _take_in(self, piece: bytes) -> None:
        """Take what was read of the source; a backend whose stream wraps frames unwraps it."""
        self._frames.feed(piece)

    def close(self) -> None:
        """Hang up: the runner kills what it has and ends."""
        self._close()

    @staticmethod
    def _wait(fd: int, events: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(fd, events)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
