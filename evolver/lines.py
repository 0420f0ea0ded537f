"""A run's progress as lines of text: for the log, and for output that is no terminal."""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import IO, Any

from evolver.facts import Bill
from evolver.progress import Progress
from evolver.types import Elite
from evolver.wording import counted, visible, visible_line

_QUIET = 5.0  # seconds without a line after which plain output says that it is alive
_BETWEEN = 1.0  # seconds between two plain lines: early on, many programs improve at once
_EMPTY = 2  # empty answers of a model after which its user is told,
_EMPTY_SHARE = 0.1  # unless they are fewer than this share
_WINDOW = 10.0  # seconds over which the rate is measured


def number(value: float | None) -> str:
    """Write a number for people: integers whole, others with five digits."""
    if value is None:
        return "-"
    value += 0.0  # no minus before zero
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.5g}"


def score(value: float | None, best: Elite | None) -> str:
    """Write a run's score; it says so where its best program may have written it itself."""
    return number(value) + trust(best)


def trust(elite: Elite | None) -> str:
    """Write " (untrusted)" where candidate and scorer shared a process."""
    return "" if elite is None or elite.evaluation.trusted else " (untrusted)"


def duration(seconds: float) -> str:
    """Write a time span as 42 s, 3:05 or 2:03:05."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Rate:
    """Evaluations per second over the last few seconds, and what is left at that rate."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def update(self, progress: Progress) -> float | None:
        """Take a snapshot in; return evaluations per second, None while unknown."""
        self._points.append((progress.seconds, progress.evaluations))
        while len(self._points) > 2 and self._points[1][0] < progress.seconds - _WINDOW:
            self._points.popleft()
        (start, before), (end, after) = self._points[0], self._points[-1]
        return (after - before) / (end - start) if end - start >= 0.2 else None

    @staticmethod
    def left(progress: Progress, rate: float | None) -> float | None:
        """Return the seconds until the first limit of evaluations or seconds, if that is known."""
        budget, found = progress.budget, []
        if budget.seconds is not None:
            found.append(budget.seconds - progress.seconds)
        if budget.evaluations is not None and rate:
            found.append((budget.evaluations - progress.evaluations) / rate)
        return max(0.0, min(found)) if found else None


def share_done(progress: Progress) -> float | None:
    """Return how much of the budget is spent, 0 to 1, by the limit that is nearest."""
    budget = progress.budget
    spent = [
        (progress.evaluations, budget.evaluations),
        (progress.seconds, budget.seconds),
        (progress.bill.dollars, budget.dollars),
        (progress.bill.tokens, budget.tokens),
    ]
    shares = [done / limit for done, limit in spent if done is not None and limit]
    return min(1.0, max(shares)) if shares else None


def out_of(done: str, limit: str | None) -> str:
    """Write how much of a limit is done; without a limit, how much."""
    return done if limit is None else f"{done} of {limit}"


def evaluations(progress: Progress) -> str:
    """Write how many evaluations of how many; one that has more than its limit has no limit."""
    done, limit = progress.evaluations, progress.budget.evaluations
    if limit is None or done > limit:
        return counted(done, "evaluation")
    return out_of(str(done), counted(limit, "evaluation"))


def cost(progress: Progress) -> str:
    """Write what models cost so far; "" where none was asked."""
    return "" if progress.bill == Bill() else written(progress.bill)


def written(bill: Bill) -> str:
    """Write a bill: an unknown price is unknown, and so is what was cut off."""
    dollars = "price unknown" if bill.dollars is None else f"${bill.dollars:.4f}"
    told = f"{dollars}, {counted(bill.tokens, 'token')}, {counted(bill.calls, 'call')}"
    if not bill.unknown:
        return told
    return f"{told}, {bill.unknown} without an answer at unknown cost"


def emptiness(bills: Mapping[str, Bill]) -> list[str]:
    """Write which models answer with nothing again and again, and which key to change."""
    told = []
    for name, bill in bills.items():
        if bill.empty < _EMPTY or bill.empty < _EMPTY_SHARE * bill.calls:
            continue
        told.append(f"{name} gives empty answers: {mend_empty(2 * bill.exhausted >= bill.empty)}")
    return told


def mend_empty(is_exhausted: bool) -> str:
    """Write why an answer is empty and what to change; `is_exhausted` where it was cut off."""
    if is_exhausted:
        return (
            "the thought uses up the tokens before the answer begins; raise max_tokens of the "
            "[[model]], or lower its reasoning_effort"
        )
    return (
        "the model ends without a word; raise max_tokens of the [[model]], change its "
        "reasoning_effort, or look at how its server tells thought from answer"
    )


def line(progress: Progress, rate: float | None) -> str:
    """Write a snapshot as one line."""
    parts = [duration(progress.seconds)]
    parts.append(evaluations(progress))
    if rate is not None:
        parts.append(f"{rate:.3g}/s")
    parts.append(f"score {score(progress.best_score, progress.best)}")
    if len(progress.front) > 1:
        parts.append(f"front of {len(progress.front)}")
    elif progress.best is not None:
        metrics = progress.best.evaluation.metrics
        parts.append(", ".join(f"{name} {number(value)}" for name, value in metrics.items()))
    parts += [cost(progress), progress.message, *progress.troubles]
    return "  ".join(part for part in parts if part)


class VisibleLog(io.FileIO):
    """A file that shows the control characters of what is written to it."""

    def write(self, piece: Any) -> int:
        """Write what a worker said, or a line of ours."""
        super().write(visible(bytes(piece).decode("utf-8", "backslashreplace")).encode())
        return len(piece)


class PlainView:
    """Lines on a stream: at every improvement, at most one a second, and every five seconds.

    What was found out about models has a line of its own, once and at once.
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
        """Write the snapshot where it is time to."""
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
