"""What a run found beside what was known before: a table of the best at equal cost.

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
    """The best of each series at most at one cost; None where a series has nothing so cheap."""

    cost: float
    evolved: float | None
    known: Mapping[str, float | None]
    ratio: float | None  # evolved to the best known; None where either is missing or zero


@dataclass(frozen=True)
class Comparison:
    """A front against references.

    Attributes:
        cost: the objective that the rows run over.
        value: the objective that is compared at equal cost.
        shown: the metric that stands for it: itself, or one that goes along with it in every
            reference, such as the error beside its number of digits.
        is_lower_better: of `shown`.
        rows: by growing cost, never empty.
    """

    cost: str
    value: str
    shown: str
    is_lower_better: bool
    rows: Sequence[Row]


def axes(objective: Objective) -> tuple[str, str] | None:
    """Return the objectives to compare by: the cost and the value; None with fewer than two.

    The cost is the first minimised objective, or else the second one.
    """
    names = objective.names
    if len(names) < 2:
        return None
    cost = next(iter(objective.minimize), names[1])
    return cost, next(name for name in names if name != cost)


def compare(
    front: Sequence[Point], references: References, objective: Objective
) -> Comparison | None:
    """Tabulate a front beside references; None where there is nothing to compare.

    A row's entries are the best that each series offers at this cost or a better one.
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

    # The rows run over what was reached and what is known in the same range.
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
    """Return a metric, no objective, that front and references share, or else the value."""
    points = [*front, *(p for points in series.values() for p in points)]
    shared = set.intersection(*(set(p) for p in points)) - set(objective.names)
    # It must order the points as the value does, or it tells something else.
    ordered = sorted(points, key=lambda p: p[value])
    for name in sorted(shared):
        values = [p[name] for p in ordered]
        # Metrics are rounded: near ties in one may lie the other way round in the other.
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
    """Lay a comparison out for a terminal; where evolution wins, its entry is green."""
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
    """Tell whether the evolved entry of a row is better than all that was known."""
    return row.ratio is not None and (row.ratio < 1) == comparison.is_lower_better != (
        row.ratio == 1
    )


def entry(value: float | None) -> str:
    """Write a number with three digits in few columns."""
    if value is None:
        return "-"
    if value and not 1e-2 <= abs(value) < 1e5:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.3g}"
