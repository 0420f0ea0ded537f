"""Show the progress of a run: a live view on a terminal, plain lines elsewhere.

A view is a context manager and a listener: call it with each `Progress` of the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from evolver.reports.terminal import without_echo
from evolver.search.formatting import (
    best,
    cost,
    duration,
    emptiness,
    evaluations,
    number,
    out_of,
    share_done,
    trust,
)
from evolver.search.plain_view import PlainView, Rate
from evolver.search.progress import ModelRecord, Progress
from evolver.storage.totals import Bill
from evolver.types import Elite
from evolver.wording import visible, visible_line

_FRONT_ROWS = 12
_FAILURE_ROWS = 2


class LiveView:
    """A panel on a terminal that is drawn again a few times a second."""

    def __init__(self, console: Console, title: str) -> None:
        self._rate = Rate()
        self._title = title
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._quiet = without_echo(console)
        self._is_new = True

    def __call__(self, progress: Progress) -> None:
        """Draw the snapshot."""
        drawn = picture(progress, self._rate.update(progress), self._title)
        self._live.update(drawn, refresh=self._is_new)  # the first snapshot at once
        self._is_new = False

    def __enter__(self) -> LiveView:
        self._quiet.__enter__()
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.update("", refresh=True)  # its last drawing may not fit the screen
        self._live.__exit__(kind, error, traceback)
        self._quiet.__exit__(kind, error, traceback)


View = AbstractContextManager[Callable[[Progress], None]]


def view(console: Console, title: str) -> View:
    """Return a live view for a terminal, else one of plain lines."""
    return LiveView(console, title) if console.is_terminal else PlainView(console.file)


# --- the picture ----------------------------------------------------------------------------------


def picture(progress: Progress, rate: float | None, title: str) -> RenderableType:
    """Draw a snapshot for a terminal."""
    lower = Table.grid(padding=(0, 4))
    lower.add_row(front_table(progress.front), Group(*_tables(progress)))
    body = Group(_head(progress, rate), "", lower)
    return Panel(body, title=Text(visible_line(title)), title_align="left")  # a str would be markup


def _head(progress: Progress, rate: float | None) -> RenderableType:
    budget = progress.budget
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    grid.add_row("best", Text(best(progress), style="bold green"))
    speed = "" if rate is None else f"   {rate:.3g}/s"
    grid.add_row("evaluations", evaluations(progress).rpartition(" ")[0] + speed)
    left = Rate.left(progress, rate)
    spent = None if budget.seconds is None else duration(budget.seconds)
    rest = "" if left is None else f"   {duration(left)} left"
    grid.add_row("time", out_of(duration(progress.seconds), spent) + rest)
    if progress.confirming:
        grid.add_row("measuring again", progress.confirming)
    if cost(progress):
        grid.add_row("models", cost(progress))
    for trouble in progress.troubles:
        grid.add_row("waiting", Text(visible(trouble), style="yellow"))
    for trouble in emptiness(progress.bills):
        grid.add_row("models", Text(visible(trouble), style="yellow"))
    for note in progress.notes[-2:]:
        grid.add_row("note", Text(visible(note)))
    grid.add_row("islands", _islands(progress.islands))
    grid.add_row("verdicts", _verdicts(progress.statuses, progress.in_flight))
    for line in progress.failures.lines(_FAILURE_ROWS):
        grid.add_row("" if line.startswith(" ") else "failures", Text(line, overflow="ellipsis"))
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
    """List the first programs of a front with their metrics."""
    names = list(front[0].evaluation.metrics) if front else []
    title = ("front" if len(front) > 1 else "best") + trust(front[0] if front else None)
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("program", justify="right", style="cyan")
    for name in names:
        table.add_column(name, justify="right")
    for elite in front[:_FRONT_ROWS]:
        values = [number(elite.evaluation.metrics.get(name)) for name in names]
        table.add_row(str(elite.program.id), *values)
    if len(front) > _FRONT_ROWS:
        table.add_row("...", *[""] * len(names))
    return table


def _tables(progress: Progress) -> list[Table]:
    tables = [_operators(progress)]
    if len(progress.bills) > 1:
        tables.append(model_table(progress.models, progress.bills))
    return tables


def model_table(records: Mapping[str, ModelRecord], bills: Mapping[str, Bill]) -> Table:
    """List models with their results and their costs."""
    table = Table(title="models", title_justify="left", box=None)
    table.add_column("name", style="cyan")
    for name in ("attempts", "improved", "calls", "tokens", "dollars", "unanswered"):
        table.add_column(name, justify="right")
    for name in sorted({*records, *bills}):
        record, bill = records.get(name, ModelRecord()), bills.get(name, Bill())
        dollars = "unknown" if bill.dollars is None else f"{bill.dollars:.4f}"
        counts = (record.attempts, record.improved, bill.calls, bill.tokens, dollars, bill.unknown)
        table.add_row(name or "(not recorded)", *(str(count) for count in counts))
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
