"""The host's end of a runner's channel: frames with deadlines over one stream."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Any

from evolver.errors import SandboxError
from evolver.sandboxes import wire

_PIECE = 1 << 18  # bytes read at once


class RunnerError(SandboxError):
    """The runner closed its channel or broke the protocol."""


class Channel:
    """Frames to and from a runner.

    Args:
        source: non-blocking descriptor that frames are read from.
        sink: non-blocking descriptor that frames are written to; may be the same.
        close: releases the descriptors.

    Attributes:
        grace: seconds that the runner has, after a deadline, to report the kill.
        patience: seconds that the runner has to end after `close`; then it is killed.
        errors: the end of the runner's stderr, if the backend attaches it.
    """

    errors = b""

    grace = 0.5
    patience = 1.0

    def __init__(self, source: int, sink: int, close: Callable[[], None]) -> None:
        self._source, self._sink = source, sink
        self._close = close
        self._frames = wire.Frames(1 << 30)  # the relay is trusted
        self._outbox = wire.Outbox(sink)
        self._buffer = bytearray(_PIECE)

    def send(self, header: dict[str, Any], deadline: float) -> None:
        """Send a frame without a body; raises as `flush` does."""
        self.prepare(header)
        self.flush(deadline)

    def prepare(self, header: dict[str, Any], *buffers: wire.Buffer) -> None:
        """Queue a frame for the next `flush`; the buffers must not change before it."""
        self._outbox.add(wire.frame(header, *buffers))

    def flush(self, deadline: float) -> None:
        """Send all queued frames.

        Raises:
            TimeoutError: the runner did not take them by the deadline (`time.monotonic`); the rest
                stays queued.
            RunnerError: the runner has ended.
        """
        try:
            self._outbox.flush()
            while self._outbox.size:
                self._wait(self._sink, select.POLLOUT, deadline)
                self._outbox.flush()
        except TimeoutError:
            raise
        except OSError as error:
            raise RunnerError(f"the sandbox's runner is gone: {error}") from None

    def receive(self, deadline: float) -> tuple[dict[str, Any], bytearray]:
        """Return the next frame.

        Raises:
            TimeoutError: no frame came by the deadline (`time.monotonic`).
            RunnerError: the runner has ended.
        """
        while True:
            message = self._frames.take()
            if message is not None:
                return message
            self._wait(self._source, select.POLLIN, deadline)
            try:
                size = os.readv(self._source, [self._buffer])
            except BlockingIOError:
                continue
            except OSError as error:
                raise RunnerError(f"the sandbox's runner is gone: {error}") from None
            if not size:
                raise RunnerError("the sandbox's runner ended")
            self._take_in(memoryview(self._buffer)[:size])

    def _take_in(self, piece: wire.Buffer) -> None:
        """Take bytes read from the source; a backend whose stream wraps frames unwraps them."""
        self._frames.feed(piece)

    def close(self) -> None:
        """Close the channel: the runner kills its candidates and ends."""
        self._close()

    @staticmethod
    def _wait(fd: int, events: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(fd, events)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
