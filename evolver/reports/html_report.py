"""Write report.html, which needs no network: plots, a comparison, the best program."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from evolver.extras import installation
from evolver.reports.comparison import (
    EVOLVED,
    Comparison,
    Point,
    References,
    axes,
    compare,
    entry,
    wins,
)
from evolver.storage.facts import Outcome
from evolver.tasks.objective import Objective, dominates
from evolver.types import Files
from evolver.wording import visible

PLOTS_NEED = f"without plots; {installation('plotly')} adds them"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff; }}
table {{ border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #ddd; }}
td {{ white-space: nowrap; }}
.facts th, .facts td {{ text-align: left; vertical-align: top; padding-left: 0; }}
.facts td {{ white-space: normal; overflow-wrap: anywhere; }}
h1, h2 {{ overflow-wrap: anywhere; }}
td.win {{ color: #0a7a2f; font-weight: 600; }}
pre {{ background: #f6f6f6; padding: 1rem; overflow-x: auto; }}
.figure {{ height: 28rem; width: 100%; overflow: hidden; }}
.scroll {{ overflow-x: auto; }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


def escape(text: str) -> str:
    """Escape a text for HTML, and make its control characters visible."""
    return html.escape(visible(text))


@dataclass(frozen=True)
class HtmlReport:
    """The content of report.html."""

    title: str
    facts: Mapping[str, str]
    front: Sequence[Point]
    references: References
    objective: Objective
    history: Sequence[tuple[int, float]]
    best: Files
    confirmed: float | None = None  # the announced value, if it differs from the search's


def history(outcomes: Iterable[Outcome], objective: Objective) -> list[tuple[int, float]]:
    """Return (evaluations, best so far) at the start, at each improvement and at the end.

    The values are the search's, which measures each program once; in the objective's unit if
    there is one objective, else the hypervolume.
    """
    points: list[tuple[int, float]] = []
    front: list[tuple[float, ...]] = []
    evaluations = 0
    for outcome in outcomes:
        evaluation = outcome.evaluation
        if evaluation is None:
            continue
        evaluations += evaluation.evaluations
        new = evaluation.objectives
        if new is None or any(old == new or dominates(old, new) for old in front):
            continue
        front = [old for old in front if not dominates(new, old)] + [new]
        score = objective.score(front)
        if score is not None:
            points.append((evaluations, objective.value(score)))
    if points and points[-1][0] < evaluations:
        points.append((evaluations, points[-1][1]))
    return points


def write_html(report: HtmlReport, path: Path) -> bool:
    """Write the report; return whether it has plots, for which it needs plotly."""
    figures = _figures(report)
    comparison = compare(report.front, report.references, report.objective)
    facts = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in
                    report.facts.items())  # fmt: skip
    parts = [
        f'<table class="facts">{facts}</table>',
        *(figures or [f"<p>This page is {escape(PLOTS_NEED)}.</p>"]),
    ]
    if comparison is not None:
        parts.append(_comparison_html(comparison))
    for name, content in report.best.items():
        text = escape(content.decode("utf-8", "backslashreplace"))
        parts.append(f"<h2>{escape(name)}, the best program</h2><pre>{text}</pre>")
    path.write_text(
        _PAGE.format(title=escape(report.title), body="\n".join(parts)), encoding="utf-8"
    )
    return figures is not None


def _comparison_html(comparison: Comparison) -> str:
    names = list(comparison.rows[0].known)
    head = [comparison.cost, EVOLVED, "ratio to best", *names]
    rows = []
    for row in comparison.rows:
        win = ' class="win"' if wins(row, comparison) else ""
        known = "".join(f"<td>{entry(row.known[name])}</td>" for name in names)
        rows.append(
            f"<tr><td>{row.cost:g}</td><td{win}>{entry(row.evolved)}</td>"
            f"<td{win}>{entry(row.ratio)}</td>{known}</tr>"
        )
    better = "lower" if comparison.is_lower_better else "higher"
    heading = f"{comparison.shown} by {comparison.cost}, {better} is better"
    return (
        f'<h2>{escape(heading)}</h2><div class="scroll"><table><tr>'
        + "".join(f"<th>{escape(name)}</th>" for name in head)
        + f"</tr>{''.join(rows)}</table></div>"
    )


def _figures(report: HtmlReport) -> list[str] | None:
    """Return the plotly library and the plots as HTML; None without plotly."""
    try:
        library = files("plotly").joinpath("package_data/plotly.min.js").read_text("utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        return None
    found = axes(report.objective)
    figures = [] if found is None else [_front_figure(report, *found)]
    if report.history:
        steps: dict[str, Any] = {
            "x": [evaluations for evaluations, _ in report.history],
            "y": [score for _, score in report.history],
            "line": {"shape": "hv", "color": _GREEN},
        }
        name = report.objective.value_name
        lines, title = [steps], f"Best {name}"
        if report.confirmed is not None:
            # A single measurement may be luck, so the search's line is dotted and grey.
            steps |= {"name": "by the search, measured once"}
            steps["line"] = {"shape": "hv", "color": "#999", "dash": "dot"}
            level = {
                "x": [steps["x"][0], steps["x"][-1]],
                "y": [report.confirmed, report.confirmed],
                "name": "confirmed",
                "mode": "lines",
                "line": {"color": _GREEN},
            }
            lines = [steps, level]
        figures.append({"data": lines, "layout": _layout(title, "evaluations", name)})
    # The figures are plain JSON: plotly's classes take half a second.
    drawn = [
        f'<div id="figure-{number}" class="figure"></div>\n'
        f"<script>Plotly.newPlot('figure-{number}', {_for_script(figure)})</script>"
        for number, figure in enumerate(figures)
    ]
    return [f"<script>{library}</script>", *drawn, _FITTED]


# Plotly itself follows the window's width only.
_FITTED = """<script>
const fitted = new ResizeObserver(all => all.forEach(one => Plotly.Plots.resize(one.target)));
document.querySelectorAll(".figure").forEach(figure => fitted.observe(figure));
</script>"""


_GREEN = "#0a7a2f"


def _for_script(figure: Mapping[str, Any]) -> str:
    """Write JSON that cannot close the script element around it."""
    return json.dumps({**figure, "config": {"responsive": True, "displayModeBar": False}}).replace(
        "<", "\\u003c"
    )


def _layout(title: str, across: str, upward: str) -> dict[str, Any]:
    axis = {"gridcolor": "#e5e5e5", "zeroline": False, "automargin": True}
    return {
        "title": {"text": title},
        "xaxis": {**axis, "title": {"text": across}},
        "yaxis": {**axis, "title": {"text": upward}},
        "hovermode": "closest",
        # Below the plot: beside it, long names would leave no room on a narrow screen.
        "legend": {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0},
        "margin": {"l": 60, "r": 20, "t": 60},
        "autosize": True,
    }


def _front_figure(report: HtmlReport, cost: str, value: str) -> dict[str, Any]:
    traces = []
    for name, points in [*report.references.items(), (EVOLVED, report.front)]:
        usable = sorted(
            (p for p in points if cost in p and value in p), key=lambda p: (p[cost], p[value])
        )
        is_evolved = name == EVOLVED
        line = {"width": 3, "color": _GREEN} if is_evolved else {"width": 1, "dash": "dot"}
        traces.append(
            {
                "x": [p[cost] for p in usable],
                "y": [p[value] for p in usable],
                "name": name,
                "text": ["<br>".join(f"{k} = {v:.6g}" for k, v in p.items()) for p in usable],
                "hoverinfo": "text+name",
                "mode": "lines+markers",
                "line": line,
                "marker": {"size": 10 if is_evolved else 6},
            }
        )
    return {"data": traces, "layout": _layout(f"{value} by {cost}", cost, value)}
