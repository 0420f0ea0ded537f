"""Compare a front with known results: the best of each at equal cost.

References come from the evaluator: named series of points in metric space, for example
`{"Taylor": [{"operations": 4, "digits": 2.05, "error": 9.0e-3}, ...]}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from evolver.tasks.objective import Objective

Point = Mapping[str, float]
References = Mapping[str, Sequence[Point]]

EVOLVED = "evolved"


_TIE = 0.01  # relative difference below which two points count as equal


@dataclass(frozen=True)
class Row:
    """The best of each series up to a cost; None if a series has no point so cheap."""

    cost: float
    evolved: float | None
    known: Mapping[str, float | None]
    ratio: float | None  # evolved / best known; None if either is missing or zero


@dataclass(frozen=True)
class Comparison:
    """A front against references.

    Attributes:
        cost: the objective whose values the rows are for.
        value: the objective that is compared at equal cost.
        shown: the metric in the table: the value itself, or one that is monotonic in it in every
            series, such as the error for its number of digits.
        is_lower_better: whether a lower value of `shown` is better.
        rows: by increasing cost; at least one.
    """

    cost: str
    value: str
    shown: str
    is_lower_better: bool
    rows: Sequence[Row]


def axes(objective: Objective) -> tuple[str, str] | None:
    """Return the cost and the value to compare by; None with fewer than two objectives.

    The cost is the first objective to be minimised, or else the second objective.
    """
    names = objective.names
    if len(names) < 2:
        return None
    cost = next(iter(objective.minimize), names[1])
    return cost, next(name for name in names if name != cost)


def compare(
    front: Sequence[Point], references: References, objective: Objective
) -> Comparison | None:
    """Compare a front with references; None if there is nothing to compare.

    The entries of a row are the best of each series at its cost or a better one.
    """
    found = axes(objective)
    series = {
        name: [p for p in points if found is not None and set(found) <= set(p)]
        for name, points in references.items()
    }
    if found is None or not any(series.values()) or not front:
        return None
    cost, value = found
    directions = dict(objective.directions)
    signs = {name: 1.0 if directions[name] == "maximize" else -1.0 for name in found}
    shown = _companion(front, series, objective, value)
    is_lower_better = signs[value] < 0
    if shown != value:
        is_lower_better = _falls_with(shown, value, series) == (signs[value] > 0)

    def best(points: Sequence[Point], limit: float) -> float | None:
        affordable = [p for p in points if signs[cost] * p[cost] >= signs[cost] * limit]
        best_point = max(affordable, key=lambda p: signs[value] * p[value], default=None)
        return None if best_point is None else best_point[shown]

    # The rows are for all costs in the range of the front.
    costs = {p[cost] for p in front} | {p[cost] for points in series.values() for p in points}
    reached = [p[cost] for p in front]
    rows = []
    for limit in sorted(c for c in costs if min(reached) <= c <= max(reached)):
        known = {name: best(points, limit) for name, points in series.items()}
        evolved = best(front, limit)
        there = [entry for entry in known.values() if entry is not None]
        rival = (min(there) if is_lower_better else max(there)) if there else None
        rows.append(Row(limit, evolved, known, evolved / rival if evolved and rival else None))
    return Comparison(cost, value, shown, is_lower_better, rows)


def _companion(front: Sequence[Point], series: References, objective: Objective, value: str) -> str:
    """Return a metric that front and references share and that orders them as the value does.

    The value itself if no other metric does; other objectives do not count.
    """
    points = [*front, *(p for points in series.values() for p in points)]
    shared = set.intersection(*(set(p) for p in points)) - set(objective.names)
    ordered = sorted(points, key=lambda p: p[value])
    for name in sorted(shared):
        values = [p[name] for p in ordered]
        # Metrics are rounded, so near ties may have another order.
        pairs = [(a, b, _TIE * abs(a)) for a, b in pairwise(values)]
        if all(b >= a - slack for a, b, slack in pairs) or all(
            b <= a + slack for a, b, slack in pairs
        ):
            return name
    return value


def _falls_with(shown: str, value: str, series: References) -> bool:
    points = sorted((p for ps in series.values() for p in ps), key=lambda p: p[value])
    return points[-1][shown] < points[0][shown]


def comparison_table(comparison: Comparison) -> Table:
    """Make a table for a terminal, with the entries that beat all references in green."""
    better = "lower" if comparison.is_lower_better else "higher"
    table = Table(
        title=f"{comparison.shown} by {comparison.cost}, {better} is better",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    names = list(comparison.rows[0].known)
    heads = [(comparison.cost, ""), (EVOLVED, ""), ("ratio to best", "")]
    for name, style in [*heads, *((name, "dim") for name in names)]:
        table.add_column(name, justify="right", style=style, min_width=_ENTRY, overflow="fold")
    for row in comparison.rows:
        style = "green" if wins(row, comparison) else ""
        table.add_row(
            f"{row.cost:g}",
            Text(entry(row.evolved), style=style),
            Text(entry(row.ratio), style=style),
            *(entry(row.known[name]) for name in names),
        )
    return table


_ENTRY = len("1.23e-4")


def wins(row: Row, comparison: Comparison) -> bool:
    """Return whether the evolved entry of a row beats all references."""
    return row.ratio is not None and (row.ratio < 1) == comparison.is_lower_better != (
        row.ratio == 1
    )


def entry(value: float | None) -> str:
    """Format a number with three significant digits."""
    if value is None:
        return "-"
    if value and not 1e-2 <= abs(value) < 1e5:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.3g}"
