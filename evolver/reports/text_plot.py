"""Plot a front and references in characters, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from evolver.reports.comparison import EVOLVED, Point, References, axes
from evolver.tasks.objective import Objective
from evolver.wording import visible_line


def terminal_plot(
    front: Sequence[Point],
    references: References,
    objective: Objective,
    *,
    width: int = 80,
    height: int = 20,
) -> Text | None:
    """Plot a front and references in characters; None with fewer than two objectives.

    Args:
        front: the evolved points, drawn over the others.
        references: the known points.
        objective: names the axes.
        width: columns of the whole plot.
        height: rows of the plotting area.
    """
    found = axes(objective)
    if found is None or not front:
        return None
    cost, value = found
    markers = iter("o+x*#@%&$" * 9)
    # References far beyond the front's costs would squeeze the front.
    reached = [p[cost] for p in front]
    margin = 0.25 * (max(reached) - min(reached))
    near: dict[str, Sequence[Point]] = {
        name: [p for p in points if cost in p and p[cost] <= max(reached) + margin]
        for name, points in references.items()
    }
    series = [(name, next(markers), "dim", points) for name, points in near.items()]
    series.append((EVOLVED, "●", "bold green", front))
    points = [(p[cost], p[value]) for *_, ps in series for p in ps if cost in p and value in p]
    columns, rows = width - _GUTTER - 2, height
    across = _Axis.over([x for x, _ in points], columns)
    upward = _Axis.over([y for _, y in points], rows)
    cells: dict[tuple[int, int], tuple[str, str]] = {}
    for _, marker, style, ps in series:
        for p in ps:
            if cost in p and value in p:
                cells[across.cell(p[cost]), upward.cell(p[value])] = (marker, style)
    return _assemble(cells, across, upward, (cost, value), series)


_GUTTER = 7  # columns for the labels of the vertical axis


@dataclass(frozen=True)
class _Axis:
    """A range of numbers, mapped to a number of character cells."""

    low: float
    high: float
    cells: int

    @classmethod
    def over(cls, values: Sequence[float], cells: int) -> _Axis:
        low, high = min(values), max(values)
        return cls(low, high, cells) if high > low else cls(low - 0.5, high + 0.5, cells)

    def cell(self, value: float) -> int:
        return round((value - self.low) / (self.high - self.low) * (self.cells - 1))

    def ticks(self, wanted: int) -> dict[int, str]:
        """Return the labels by cell, at steps of 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / wanted
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return {self.cell(n * step): f"{n * step:.6g}" for n in range(first, last + 1)}


def _assemble(
    cells: Mapping[tuple[int, int], tuple[str, str]],
    across: _Axis,
    upward: _Axis,
    names: tuple[str, str],
    series: Sequence[tuple[str, str, str, Sequence[Point]]],
) -> Text:
    cost, value = names
    plot = Text(f"{visible_line(value)}\n", no_wrap=True)
    labels = upward.ticks(max(2, upward.cells // 4))
    for row in reversed(range(upward.cells)):
        plot.append(f"{labels.get(row, ''):>{_GUTTER}} {'┤' if row in labels else '│'}")
        for column in range(across.cells):
            plot.append(*cells.get((column, row), (" ", "")))
        plot.append("\n")
    marks = across.ticks(max(2, across.cells // 8))
    ruler = "".join("┬" if column in marks else "─" for column in range(across.cells))
    plot.append(f"{'':{_GUTTER}} └{ruler}\n")
    written = [" "] * across.cells
    for column, label in marks.items():
        start = min(column, across.cells - len(label))
        written[start : start + len(label)] = label
    plot.append(f"{'':{_GUTTER}}  {''.join(written).rstrip()}\n")
    plot.append(f"{'':{_GUTTER}}  {visible_line(cost):>{across.cells}}\n\n")
    for name, marker, style, _ in reversed(series):
        plot.append(f"{'':{_GUTTER}}  ")
        plot.append(marker, style)
        plot.append(f" {visible_line(name)}\n")
    plot.rstrip()
    return plot
