"""Places at an endpoint: how many requests go at once, and when the next one may go.

The number of places follows additive increase and multiplicative decrease (Chiu 1989,
https://doi.org/10.1016/0169-7552(89)90019-6). A wait that the endpoint asks for holds for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator


class Places:
    """Places that requests hold while they are under way; first come, first served.

    Attributes:
        not_before: when the next request may go, by the monotonic clock.
    """

    def __init__(self, most: int, rate_limit: float | None) -> None:
        """Begin with all places free.

        Args:
            most: places, at most.
            rate_limit: requests a minute, at most.
        """
        self.not_before = 0.0
        self._most = most
        self._rate_limit = rate_limit
        self._window = float(most)
        self._narrowed = float("-inf")  # when the window was last made smaller
        self._inside = 0
        self._is_shut = False
        self._queue: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @contextlib.asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Wait for a place and hold it.

        Raises:
            Exception: the error that `refuse` was given meanwhile.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave()
            raise
        try:
            yield
        finally:
            self._leave()

    def widen(self) -> None:
        """Add a share of a place after a request that was answered."""
        self._window = min(self._window + 1 / self._window, self._most)

    def narrow(self, sent: float) -> None:
        """Halve the places after a refused request; `sent` is its time by the monotonic clock."""
        # Requests that were sent before the last change say nothing about the narrower window.
        if sent > self._narrowed:
            self._window = max(1.0, self._window / 2)
            self._narrowed = time.monotonic()

    def put_off(self, until: float) -> None:
        """Admit no request before a time of the monotonic clock."""
        self.not_before = max(self.not_before, until)

    def shut(self) -> None:
        """Admit no request; after `open` only one goes at first."""
        self._window = 1.0
        self._is_shut = True

    def open(self) -> None:
        """Admit requests again."""
        self._is_shut = False
        self._admit()

    def refuse(self, error: Exception) -> None:
        """Raise an error in all requests that wait for a place."""
        for turn in self._queue:
            if not turn.done():
                turn.set_exception(error)
        self._queue.clear()

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _admit(self) -> None:
        """Admit the requests that may go now, and set a timer for the next one."""
        while self._queue and self._inside < int(self._window) and not self._is_shut:
            wait = self.not_before - time.monotonic()
            if wait > 0:
                self.close()
                self._timer = asyncio.get_running_loop().call_later(wait, self._admit)
                return
            turn = self._queue.popleft()
            if turn.done():
                continue  # it was cancelled while it waited
            if self._rate_limit is not None:
                self.not_before = time.monotonic() + 60.0 / self._rate_limit
            self._inside += 1
            turn.set_result(None)

    def _leave(self) -> None:
        self._inside -= 1
        self._admit()
