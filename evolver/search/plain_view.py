"""A run's progress line by line, for its log and for output that is not a terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import IO

from evolver.search.formatting import emptiness, line
from evolver.search.progress import Progress
from evolver.wording import visible_line

_QUIET = 5.0  # seconds between two lines without news
_BETWEEN = 1.0  # seconds between two lines with news: early on, many programs improve at once
_WINDOW = 10.0  # seconds over which the rate is measured


class Rate:
    """Evaluations per second over the last seconds, and the time left at that rate."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def update(self, progress: Progress) -> float | None:
        """Add a snapshot; return evaluations per second, None while unknown."""
        self._points.append((progress.seconds, progress.evaluations))
        while len(self._points) > 2 and self._points[1][0] < progress.seconds - _WINDOW:
            self._points.popleft()
        (start, before), (end, after) = self._points[0], self._points[-1]
        return (after - before) / (end - start) if end - start >= 0.2 else None

    @staticmethod
    def left(progress: Progress, rate: float | None) -> float | None:
        """Return the seconds until the first limit of evaluations or seconds, if known."""
        budget, found = progress.budget, []
        if budget.seconds is not None:
            found.append(budget.seconds - progress.seconds)
        if budget.evaluations is not None and rate:
            found.append((budget.evaluations - progress.evaluations) / rate)
        return max(0.0, min(found)) if found else None


class PlainView:
    """Lines on a stream: at improvements, at most one a second, and at least every five seconds.

    A note about a model gets a line of its own, once and at once.
    """

    def __init__(self, stream: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._rate = Rate()
        self._last = float("-inf")
        self._held: Progress | None = None
        self._was_troubled = False
        self._noted: set[str] = set()

    def __call__(self, progress: Progress) -> None:
        """Write the snapshot if a line is due."""
        for note in (*progress.notes, *emptiness(progress.bills)):
            if note not in self._noted:
                self._noted.add(note)
                self._write(f"note: {note}")
        rate = self._rate.update(progress)
        self._held = progress
        waited = self._clock() - self._last
        is_news = progress.message or bool(progress.troubles) != self._was_troubled
        if waited >= (_BETWEEN if is_news else _QUIET):
            self._was_troubled = bool(progress.troubles)
            self._write(line(progress, rate))
            self._held = None

    def _write(self, text: str) -> None:
        self._stream.write(visible_line(text) + "\n")
        self._stream.flush()
        self._last = self._clock()

    def __enter__(self) -> PlainView:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._held is not None:
            self._write(line(self._held, self._rate.update(self._held)))
