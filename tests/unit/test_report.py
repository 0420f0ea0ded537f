"""Reports compare fronts with what was known, at equal cost."""

from __future__ import annotations

import io
import math
import sys
from pathlib import Path

import pytest
from rich.console import Console

from evolver.reports.comparison import compare, comparison_table
from evolver.reports.html_report import HtmlReport, history, write_html
from evolver.reports.text_plot import terminal_plot
from evolver.storage.facts import Attempt, Outcome
from evolver.tasks.objective import Objective
from evolver.types import Evaluation, Program

OBJECTIVE = Objective(("digits",), ("operations",), (), {"digits": 0.0, "operations": 20.0})


def point(operations: float, error: float) -> dict[str, float]:
    return {"operations": operations, "digits": -math.log10(error), "error": error}


REFERENCES = {
    "Taylor": [point(2, 1e-1), point(4, 1e-2), point(6, 1e-3)],
    "Padé": [point(3, 1e-2), point(6, 1e-5)],
}
FRONT = [point(5, 1e-4), point(3, 2e-2)]


def test_rows_hold_the_best_at_most_at_each_cost() -> None:
    comparison = compare(FRONT, REFERENCES, OBJECTIVE)
    assert comparison is not None
    assert (comparison.cost, comparison.value, comparison.shown) == (
        "operations", "digits", "error",
    )  # fmt: skip
    assert comparison.is_lower_better
    assert [row.cost for row in comparison.rows] == [3, 4, 5]
    assert [row.evolved for row in comparison.rows] == [2e-2, 2e-2, 1e-4]
    assert [row.known["Taylor"] for row in comparison.rows] == [1e-1, 1e-2, 1e-2]
    assert [row.ratio for row in comparison.rows] == pytest.approx([2, 2, 1e-2])


def test_a_metric_that_tells_something_else_does_not_stand_for_the_value() -> None:
    front = [{**p, "error": 1.0 + index % 2} for index, p in enumerate([*FRONT, point(4, 1e-3)])]
    comparison = compare(front, REFERENCES, OBJECTIVE)
    assert comparison is not None
    assert comparison.shown == "digits"
    assert not comparison.is_lower_better


def test_nothing_to_compare() -> None:
    assert compare([], REFERENCES, OBJECTIVE) is None
    assert compare(FRONT, {}, OBJECTIVE) is None
    assert compare(FRONT, {"other": [{"speed": 1.0}]}, OBJECTIVE) is None
    assert compare(FRONT, REFERENCES, Objective(("digits",), ())) is None


def test_the_table_fits_a_terminal() -> None:
    comparison = compare(FRONT, REFERENCES, OBJECTIVE)
    assert comparison is not None
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(comparison_table(comparison))
    text = console.export_text()
    console.file.close()
    assert "1.00e-4" in text
    assert "Padé" in text
    assert max(len(line) for line in text.splitlines()) <= 60


def test_the_plot_has_every_point_at_its_place() -> None:
    plot = terminal_plot(FRONT, {"known": [point(2, 1e-1)]}, OBJECTIVE, width=40, height=9)
    assert plot is not None
    lines = plot.plain.splitlines()
    assert lines[0] == "digits"
    area = lines[1:10]
    marks = [(y, x) for y, row in enumerate(area) for x, c in enumerate(row) if c in "●o"]
    # Digits 4, 1.7 and 1 from top to bottom; operations 5, 3 and 2 from right to left.
    assert [y for y, _ in marks] == [0, 6, 8]
    assert [x for _, x in marks] == sorted((x for _, x in marks), reverse=True)
    assert {len(row) for row in area} == {40}
    assert lines[-2:] == [" " * 9 + "● evolved", " " * 9 + "o known"]


def test_a_plot_of_one_point_and_of_one_objective() -> None:
    alone = terminal_plot([point(2, 1e-1)], {}, OBJECTIVE)
    assert alone is not None
    assert alone.plain.count("●") == 2  # and in the legend
    assert terminal_plot(FRONT, {}, Objective(("digits",), ())) is None


def outcome(id_: int, score: float | None, evaluations: int = 1) -> Outcome:
    evaluation = Evaluation(
        "crashed" if score is None else "ok",
        objectives=None if score is None else (score,),
        evaluations=evaluations,
    )
    return Outcome(Attempt(id_, id_, "op", 0, None), "evaluated", "", Program(id_, {}), evaluation)


def test_history_holds_the_improvements_and_the_end() -> None:
    outcomes = [outcome(0, 1.0), outcome(1, None), outcome(2, 3.0, 5), outcome(3, 2.0),
                Outcome(Attempt(4, 4, "op", 0, 0), "unproposed", "no child")]  # fmt: skip
    assert history(outcomes, Objective(("s",), ())) == [(1, 1.0), (7, 3.0), (8, 3.0)]


def page() -> HtmlReport:
    return HtmlReport(
        "exp2 <b>", {"evaluations": "4"}, FRONT, REFERENCES, OBJECTIVE, [(1, 1.0), (4, 2.0)],
        {"exp2.py": b"x < 1 & y\n"},
    )  # fmt: skip


def test_the_page_stands_alone(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    path = tmp_path / "report.html"
    assert write_html(page(), path)
    text = path.read_text(encoding="utf-8")
    assert "exp2 &lt;b&gt;" in text
    assert "x &lt; 1 &amp; y" in text
    assert 'class="win"' in text
    assert "<script src=" not in text  # plotly is inside: the page works without a network
    assert text.count("Plotly.newPlot('figure-") == 2


def test_the_page_without_plotly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)  # as if not installed
    path = tmp_path / "report.html"
    assert not write_html(page(), path)
    text = path.read_text(encoding="utf-8")
    assert "pip install" in text
    assert "<td>4</td>" in text
