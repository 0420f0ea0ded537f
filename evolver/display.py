"""What a run looks like while it runs: a live view on a terminal, plain lines elsewhere.

A view is a context manager and a listener: call it with every `Progress` that the engine reports.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import IO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from evolver.progress import Progress
from evolver.types import Elite

_QUIET = 5.0  # seconds without a line after which plain output says that it is alive
_BETWEEN = 1.0  # seconds between two plain lines: early on, many programs improve at once
_WINDOW = 10.0  # seconds over which the rate is measured
_FRONT_ROWS = 12  # of the live view


def number(value: float | None) -> str:
    """Write a number for people: integers whole, others with five digits."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.5g}"


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


def _of(done: str, limit: str | None) -> str:
    return done if limit is None else f"{done} of {limit}"


def cost(progress: Progress) -> str:
    """Write what models cost so far; "" where none was asked."""
    bill = progress.bill
    if not bill.calls:
        return ""
    dollars = "price unknown" if bill.dollars is None else f"${bill.dollars:.4f}"
    return f"{dollars}, {bill.tokens} tokens, {bill.calls} calls"


def line(progress: Progress, rate: float | None) -> str:
    """Write a snapshot as one line."""
    budget = progress.budget
    parts = [duration(progress.seconds)]
    limit = None if budget.evaluations is None else str(budget.evaluations)
    parts.append(_of(str(progress.evaluations), limit) + " evaluations")
    if rate is not None:
        parts.append(f"{rate:.3g}/s")
    parts.append(f"score {number(progress.best_score)}")
    if len(progress.front) > 1:
        parts.append(f"front of {len(progress.front)}")
    elif progress.best is not None:
        metrics = progress.best.evaluation.metrics
        parts.append(", ".join(f"{name} {number(value)}" for name, value in metrics.items()))
    parts += [cost(progress), progress.message]
    return "  ".join(part for part in parts if part)


class PlainView:
    """Lines on a stream: at every improvement, at most one a second, and every five seconds."""

    def __init__(self, stream: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._rate = Rate()
        self._last = float("-inf")
        self._held: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        """Write the snapshot where it is time to."""
        rate = self._rate.update(progress)
        self._held = progress
        waited = self._clock() - self._last
        if waited >= (_BETWEEN if progress.message else _QUIET):
            self._write(line(progress, rate))
            self._held = None

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
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


class LiveView:
    """One picture on a terminal that is drawn anew a few times a second."""

    def __init__(self, console: Console, title: str) -> None:
        self._rate = Rate()
        self._title = title
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __call__(self, progress: Progress) -> None:
        """Draw the snapshot."""
        self._live.update(picture(progress, self._rate.update(progress), self._title))

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, traceback)


View = AbstractContextManager[Callable[[Progress], None]]


def view(console: Console, title: str) -> View:
    """Return the view that fits where the console writes to."""
    return LiveView(console, title) if console.is_terminal else PlainView(console.file)


# --- the picture ----------------------------------------------------------------------------------


def picture(progress: Progress, rate: float | None, title: str) -> RenderableType:
    """Draw a snapshot for a terminal."""
    lower = Table.grid(padding=(0, 4))
    lower.add_row(front_table(progress.front), _operators(progress))
    return Panel(Group(_head(progress, rate), "", lower), title=title, title_align="left")


def _head(progress: Progress, rate: float | None) -> RenderableType:
    budget = progress.budget
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    target = None if budget.target is None else number(budget.target)
    grid.add_row("best score", Text(_of(number(progress.best_score), target), style="bold green"))
    limit = None if budget.evaluations is None else str(budget.evaluations)
    speed = "" if rate is None else f"   {rate:.3g}/s"
    grid.add_row("evaluations", _of(str(progress.evaluations), limit) + speed)
    left = Rate.left(progress, rate)
    spent = None if budget.seconds is None else duration(budget.seconds)
    rest = "" if left is None else f"   {duration(left)} left"
    grid.add_row("time", _of(duration(progress.seconds), spent) + rest)
    if cost(progress):
        grid.add_row("models", cost(progress))
    grid.add_row("islands", _islands(progress.islands))
    grid.add_row("verdicts", _verdicts(progress.statuses, progress.in_flight))
    done = share_done(progress)
    if done is not None:
        grid.add_row("", ProgressBar(total=1.0, completed=done, width=40))
    return grid


def _islands(islands: Sequence[tuple[int, float | None]]) -> str:
    shown = [f"{number(best)} ({size})" for size, best in islands[:8]]
    return "  ".join(shown) + (f"  and {len(islands) - 8} more" if len(islands) > 8 else "")


def _verdicts(statuses: Mapping[str, int], in_flight: int) -> str:
    parts = [f"{count} {status}" for status, count in sorted(statuses.items()) if count]
    return ", ".join([*parts, f"{in_flight} in flight"])


def front_table(front: Sequence[Elite]) -> Table:
    """List a front's programs with their metrics, as many as fit a screen."""
    names = list(front[0].evaluation.metrics) if front else []
    table = Table(title="front" if len(front) > 1 else "best", title_justify="left", box=None)
    table.add_column("program", justify="right", style="cyan")
    for name in names:
        table.add_column(name, justify="right")
    for elite in front[:_FRONT_ROWS]:
        values = [number(elite.evaluation.metrics.get(name)) for name in names]
        table.add_row(str(elite.program.id), *values)
    if len(front) > _FRONT_ROWS:
        table.add_row("...", *[""] * len(names))
    return table


def _operators(progress: Progress) -> Table:
    table = Table(title="operators", title_justify="left", box=None)
    table.add_column("name", style="cyan")
    for name in ("attempts", "evaluated", "improved"):
        table.add_column(name, justify="right")
    for name, record in sorted(progress.operators.items()):
        counts = (record.attempts, record.evaluated, record.improved)
        table.add_row(name, *(str(count) for count in counts))
    return table
