"""Whose failure it is, where it was raised, and what is most common."""

from __future__ import annotations

from io import BytesIO, StringIO
from typing import Literal

import pytest
from rich.console import Console

from evolver.errors import CandidateOutputError, EvaluatorError
from evolver.evaluation.evaluator import read_result
from evolver.evaluation.executors.output import Output
from evolver.evaluation.failures import Failures, failure_of
from evolver.reports.display import picture
from evolver.routing.budget import Budget
from evolver.search.progress import Progress
from evolver.types import Evaluation, Result

PROGRAM = ("src/prog.py", "lib/helper.py")


def frame(path: str, line: int, name: str) -> str:
    return f'  File "{path}", line {line}, in {name}\n    x = 1\n    ^^^^^\n'


def failed(
    *frames: str, said: str = "KeyError: 'x'", fault: Literal["candidate", "evaluator"]
) -> Evaluation:
    head = (
        "the evaluator raised:\n"
        if fault == "evaluator"
        else "Traceback (most recent call last):\n"
    )
    return Evaluation("crashed", feedback=head + "".join(frames) + said, fault=fault)


BESIDE = (
    frame("evolver_inside.py", 52, "evaluate"),
    frame("/box/scratch/task/score.py", 8, "evaluate"),
)


@pytest.mark.parametrize(
    ("frames", "fault", "place", "is_evaluators"),
    [
        # An evaluator that takes a candidate: what it raises itself is its own.
        ([frame("/runs/r/task/score.py", 12, "score")], "evaluator", "score.py:12 in score", True),
        ([frame("/t/score.py", 3, "score"), frame("/usr/lib/python3.11/json/decoder.py", 9, "raw")],
         "evaluator", "score.py:3 in score", True),
        ([frame("/t/score.py", 3, "score"), frame("/t/score.py", 4, "<genexpr>")], "evaluator",
         "score.py:4 in score", True),
        # What the program raises in its sandbox is the program's.
        ([frame("src/prog.py", 5, "pack")], "candidate", "src/prog.py:5 in pack", False),
        ([frame("src/prog.py", 5, "pack"), frame("lib/helper.py", 1, "help")], "candidate",
         "lib/helper.py:1 in help", False),
        ([frame("src/prog.py", 5, "pack"), frame("<string>", 1, "<module>")], "candidate",
         "src/prog.py:5 in pack", False),
        ([frame("src/prog.py", 5, "pack"),
          frame("/x/site-packages/numpy/linalg/linalg.py", 88, "inv")], "candidate",
         "src/prog.py:5 in pack", False),
        # One that takes a path shares the process: the innermost file decides.
        ([*BESIDE, frame("/box/scratch/task/src/prog.py", 5, "pack")], "candidate",
         "src/prog.py:5 in pack", False),
        ([*BESIDE], "candidate", "score.py:8 in evaluate", True),
        ([*BESIDE, frame("/box/scratch/task/metrics.py", 2, "mean")], "candidate",
         "metrics.py:2 in mean", True),
        ([*BESIDE, frame("/box/scratch/task/src/prog.py", 5, "pack"),
          frame("/box/scratch/task/score.py", 20, "callback")], "candidate",
         "score.py:20 in callback", True),
    ],
)  # fmt: skip
def test_the_file_that_raised_decides(
    frames: list[str], fault: Literal["candidate", "evaluator"], place: str, is_evaluators: bool
) -> None:
    found = failure_of(failed(*frames, fault=fault), PROGRAM)
    assert found is not None
    assert (found.place, found.is_evaluators, found.said) == (place, is_evaluators, "KeyError: 'x'")


def test_what_a_program_prints_is_no_traceback() -> None:
    told = failed(frame("src/prog.py", 5, "pack"), fault="candidate").feedback
    printed = frame("/t/score.py", 1, "score") + "ValueError: no"
    found = failure_of(
        Evaluation("crashed", feedback=told, printed=printed, fault="candidate"), PROGRAM
    )
    assert found is not None
    assert (found.place, found.said) == ("src/prog.py:5 in pack", "KeyError: 'x'")


def test_a_chain_of_exceptions_ends_with_its_last() -> None:
    first = failed(frame("src/prog.py", 5, "pack"), fault="candidate").feedback
    text = f"{first}\n\nDuring handling of the above exception, another exception occurred:\n\n"
    text += failed(frame("src/prog.py", 9, "save"), said="OSError: no", fault="candidate").feedback
    found = failure_of(Evaluation("crashed", feedback=text, fault="candidate"), PROGRAM)
    assert found is not None
    assert (found.place, found.said) == ("src/prog.py:9 in save", "OSError: no")


def test_failures_are_counted_by_kind_and_the_evaluators_are_apart() -> None:
    own = failed(frame("/t/score.py", 12, "score"), fault="evaluator")
    other = failed(frame("/t/score.py", 12, "score"), said="KeyError: 'y'", fault="evaluator")
    crash = failed(frame("src/prog.py", 5, "pack"), said="ValueError: no", fault="candidate")
    late = Evaluation("timeout", feedback="it did not end in its 2 s", fault="candidate")
    missed = [
        Evaluation("rejected", feedback=f"required size <= 8, got {size}", fault="candidate")
        for size in (9, 12.5, 1e9)
    ]
    counted = Failures.of([Evaluation("ok"), own, own, other, crash, late, *missed], PROGRAM)
    assert (counted.evaluator, counted.program, counted.warning) == (3, 5, "")
    assert counted.lines() == [
        "3 evaluations failed in the evaluator itself:",
        "  3 crashed: score.py:12 in score: KeyError: 'x'",
        "5 evaluations failed in programs:",
        "  3 rejected: required size <= 8, got 9",
        "  1 crashed: src/prog.py:5 in pack: ValueError: no",
        "  1 timeout: it did not end in its 2 s",
    ]
    assert counted.lines(2)[-1] == (
        "  1 failure of 1 further kind; 'evolver show --json' lists all"
    )
    assert counted.lines(1)[-1] == (
        "  2 failures of 2 further kinds; 'evolver show --json' lists all"
    )
    assert counted.records()[0] == {
        "count": 3,
        "status": "crashed",
        "in_evaluator": True,
        "place": "score.py:12 in score",
        "message": "KeyError: 'x'",
    }
    assert [counted.ending(e) for e in (Evaluation("ok"), own, crash, late)] == [
        "ok", "crashed in the evaluator", "crashed", "timeout",
    ]  # fmt: skip


def test_where_most_failures_are_the_evaluators_it_is_said() -> None:
    own = failed(frame("/t/score.py", 12, "score"), fault="evaluator")
    crash = failed(frame("src/prog.py", 5, "pack"), fault="candidate")
    assert Failures.of([own, own], PROGRAM).warning == ""
    assert Failures.of([own, own, own, crash, crash, crash], PROGRAM).warning == ""
    assert (
        Failures.of([own, own, own, crash], PROGRAM)
        .lines()[-1]
        .startswith(
            "Warning: most failures are raised in score.py itself: 3 of 4, most often at "
            "score.py:12 in score (KeyError: 'x'). Mend it"
        )
    )


# --- results that are no numbers ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [(float("nan"), "nan"), (float("inf"), "inf"), (-float("inf"), "-inf"), (10**400, "inf"),
     (-(10**400), "-inf")],
)  # fmt: skip
def test_a_result_that_is_not_finite_is_the_candidates_but_for_the_seed(
    value: float, said: str
) -> None:
    for returned in ({"score": value}, Result({"a": 1.0}, private={"score": value}),
                     Result({"a": 1.0}, features={"score": value})):  # fmt: skip
        with pytest.raises(CandidateOutputError, match=f"^score is {said}$"):
            read_result(returned)
        with pytest.raises(EvaluatorError, match=f"'score' is {said}; mend .* finite"):
            read_result(returned, is_seed=True)


# --- what evaluators print ------------------------------------------------------------------------


def test_whole_lines_go_into_the_log_with_the_program_and_without_control_characters() -> None:
    log = BytesIO()
    output = Output(log)
    output.feed(b"at its start\n")
    output.end("program 7")
    for piece in (b"on", b"e\r\ntwo \x1b[31mred\n\xff\xc2\x9b thr", b"ee"):
        output.feed(piece)
    output.end("program 8")
    output.feed(b"four\n")
    output.end()
    assert log.getvalue().decode().split("\n") == [
        "evaluator: at its start",
        "program 7: one",
        "program 7: two \\x1b[31mred",
        "program 7: \\xff\\x9b three",
        "program 8: four",
        "",
    ]


def test_without_a_log_what_several_evaluations_print_alike_is_shown_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown_by_all = set[str]()
    workers = Output(None, shown_by_all), Output(None, shown_by_all)
    texts = (
        b"loss 0.25\nloss 1e-05\n",
        b"loss 0.3\nstep 2 of -7\n",
        b"",
        b"step 3 of -8\nc",
        b"c\n" + b"x" * 200_000,
    )
    for number, text in enumerate(texts):
        output = workers[number % 2]
        output.end("program 0")
        output.feed(text)
        output.end()
    shown = capsys.readouterr().err.split("\n")
    expected = ["loss 0.25", "loss 1e-05", "step 2 of -7", "c"]
    assert shown[:4] == [f"evaluator: {line}" for line in expected]
    assert sum(len(line) - len("evaluator: ") for line in shown[4:-1]) == 200_000


def test_the_live_view_shows_them() -> None:
    own = failed(frame("/t/score.py", 12, "score"), fault="evaluator")
    failures = Failures.of([own] * 4, PROGRAM)
    progress = Progress(
        evaluations=5, budget=Budget(), attempts=5, seconds=1.0, best_score=None, best=None,
        front=(), islands=(), operators={}, statuses={"crashed in the evaluator": 4},
        in_flight=0, failures=failures,
    )  # fmt: skip
    console = Console(file=StringIO(), width=160)
    console.print(picture(progress, None, "task"))
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert "4 crashed in the evaluator" in shown
    assert "4 crashed: score.py:12 in score: KeyError: 'x'" in shown
    assert "Warning: most failures are raised in score.py itself" in shown
