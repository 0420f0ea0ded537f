"""What a run shows while it runs."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from evolver.reports import display
from evolver.routing.budget import Budget
from evolver.search import formatting
from evolver.search.evidence import Interval
from evolver.search.plain_view import PlainView, Rate
from evolver.search.progress import ModelRecord, OperatorRecord, Progress
from evolver.storage.totals import Bill
from evolver.types import Elite, Evaluation, Program

ELITE = Elite(Program(7, {}), Evaluation("ok", {"digits": 3.25, "operations": 4.0}))
PROGRESS = Progress(
    evaluations=100,
    budget=Budget(evaluations=400, seconds=60.0),
    attempts=120,
    seconds=10.0,
    best_score=12.5,
    value_name="hypervolume",
    best_value=12.5,
    search_value=12.5,
    best=ELITE,
    front=(ELITE, ELITE),
    islands=((3, 2.0), (0, None)),
    operators={"mutate": OperatorRecord(90, 80, 4)},
    statuses={"ok": 70, "crashed": 10, "filtered": 20},
    bills={},
    in_flight=4,
)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (65, "1:05"), (3725, "1:02:05")]
)
def test_durations(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(4.0, "4"), (2.5, "2.5"), (1 / 3, "0.33333"), (1e-9, "1e-09"), (None, "-")]
)
def test_numbers(value: float | None, text: str) -> None:
    assert formatting.number(value) == text


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.update(PROGRESS) is None
    for second in range(1, 60):
        # 10 a second at first, 2 a second later
        done = 100 + (10 * second if second < 20 else 200 + 2 * (second - 20))
        last = rate.update(replace(PROGRESS, seconds=10.0 + second, evaluations=done))
    assert last == pytest.approx(2, rel=0.01)


def test_time_left_is_that_of_the_nearest_limit() -> None:
    assert Rate.left(PROGRESS, 10.0) == 30.0
    assert Rate.left(PROGRESS, 1.0) == 50.0  # 60 seconds in all, 10 spent
    assert Rate.left(replace(PROGRESS, budget=Budget(target=1.0)), 1.0) is None
    assert formatting.share_done(PROGRESS) == 0.25


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_are_few_and_the_last_word_is_said() -> None:
    stream, clock = io.StringIO(), Clock()
    with PlainView(stream, clock) as view:
        view(PROGRESS)
        for tenth in range(1, 100):
            clock.now = tenth / 10
            improved = "program 9" if tenth in (12, 13, 14) else ""
            view(replace(PROGRESS, evaluations=100 + tenth, message=improved))
    written = stream.getvalue().splitlines()
    # At 0 s, the improvement at 1.2 s (not those that follow at once), 5 s later, at the end.
    assert [int(line.split()[2]) for line in written] == [100, 112, 162, 199]
    assert "program 9" in written[1]
    assert "100 of 400 evaluations" in written[0]


def test_the_picture_tells_what_matters() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    costly = replace(PROGRESS, bills={"any": Bill(3, 100, 50, 0.25)})
    console.print(display.picture(costly, 10.0, "exp2"))
    text = console.export_text()
    for expected in ("12.5", "100 of 400", "10/s", "30 s left", "$0.2500", "150 tokens", "mutate",
                     "3.25", "10 crashed", "4 in flight", "2 (3)"):  # fmt: skip
        assert expected in text


def test_a_terminal_gets_the_live_view_and_others_lines() -> None:
    terminal = Console(force_terminal=True, file=io.StringIO(), width=100)
    with display.view(terminal, "exp2") as live:
        live(PROGRESS)
    assert isinstance(live, display.LiveView)
    assert "12.5" in terminal.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(display.view(Console(file=io.StringIO()), "exp2"), PlainView)


def test_models_that_do_not_answer_are_told_at_once_and_in_the_picture() -> None:
    trouble = "small waits for 12 s: connection refused; next try in 4 s"
    troubled = replace(PROGRESS, troubles=(trouble,))
    console = Console(file=io.StringIO(), width=160)
    console.print(display.picture(troubled, None, "exp2"))
    assert isinstance(console.file, io.StringIO)
    assert trouble in console.file.getvalue()
    moment = [0.0]
    stream = io.StringIO()
    with PlainView(stream, lambda: moment[0]) as view:
        for seconds, progress in ((0, PROGRESS), (1, troubled), (2, troubled), (3, PROGRESS)):
            moment[0] = float(seconds)
            view(progress)
    assert [trouble in line for line in stream.getvalue().splitlines()] == [False, True, False]


def test_several_models_are_listed_with_what_they_did_and_cost() -> None:
    shown = replace(
        PROGRESS,
        models={"small": ModelRecord(9, 2), "large": ModelRecord(3, 1)},
        bills={"small": Bill(9, 900, 90, 0.25), "large": Bill(2, 200, 20, None, unknown=1)},
    )
    console = Console(file=io.StringIO(), width=160)
    console.print(display.picture(shown, None, "exp2"))
    assert isinstance(console.file, io.StringIO)
    words = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert any("small 9 2 9 990 0.2500 0" in line for line in words)
    assert any("large 3 1 2 220 unknown 1" in line for line in words)
    total = "price unknown, 1210 tokens, 11 calls, 1 without an answer at unknown cost"
    assert any(total in line for line in words)


def test_the_best_is_told_in_the_metrics_own_unit_and_what_is_confirmed_of_it() -> None:
    cheap = replace(PROGRESS, front=(ELITE,), value_name="operations", best_value=4.0, target=3.0)
    told = formatting.line(replace(cheap, search_value=4.0), None)
    assert "operations 4, target 3  digits 3.25" in told
    assert "confirmed" not in told
    known = replace(cheap, is_confirmed=True, search_value=2.0, confirming="7 of 60 measurements")
    told = formatting.line(known, None)
    assert "operations 4, target 3 (confirmed; 2 measured once)" in told
    assert "measured again: 7 of 60 measurements" in told


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ((7.42, 7.31, 7.52), "7.42 [7.31, 7.52]"),
        ((-0.5, -0.50001, -0.49999), "-0.5000000 [-0.5000100, -0.4999900]"),
        ((123456.7, 120000.0, 126000.0), "123457 [120000, 126000]"),
        ((3e-9, 2e-9, 4e-9), "3.0e-09 [2.0e-09, 4.0e-09]"),
        ((2.5, 2.5, 2.5), "2.5"),
        ((2.5, float("-inf"), float("inf")), "2.5"),
    ],
)
def test_an_interval_has_the_digits_that_it_leaves(
    found: tuple[float, float, float], text: str
) -> None:
    assert formatting.interval(Interval(*found)) == text
