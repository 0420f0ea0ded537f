"""What fails in an evaluator, what it prints, results that are no numbers: as a user sees it."""

from __future__ import annotations

import pytest
from command_line import CURVE, SCORE, TASK_TOML, CommandLine, MakeTask

# Both forms: what comes out is what the program's curve gives at 0 and 1.
OUTSIDE = """
import subprocess
import sys


def score(candidate):
    print("one")
    print("two \\x1b[31m", file=sys.stderr)
    subprocess.run(["sh", "-c", "echo three"])
    low, high = candidate.call("curve", 0.0), candidate.call("curve", 1.0)
    return {"error": measured(low, high)}
"""
INSIDE = """
import importlib.util


def score(program_path):
    print("one\\ntwo \\x1b[31m\\nthree")
    spec = importlib.util.spec_from_file_location("p", program_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    low, high = module.curve(0.0), module.curve(1.0)
    return {"error": measured(low, high)}
"""
BREAKS = """

def measured(low, high):
    if (low, high) != (0.5, 1.5):
        raise KeyError("every other program")
    return 1.0
"""
NAN = """

def measured(low, high):
    return 1.0 if (low, high) == (0.5, 1.5) else float("nan")
"""


@pytest.mark.parametrize("form", [OUTSIDE, INSIDE], ids=["outside", "inside"])
def test_an_evaluator_that_fails_for_other_programs_is_named(
    cli: CommandLine, make_task: MakeTask, form: str
) -> None:
    task = make_task(score=form + BREAKS)
    done = cli("run", task, "--evaluations", 30, "--seed", 1, "--out", "out", "--workers", 1)
    line = next(i for i, text in enumerate((form + BREAKS).splitlines(), 1) if "raise" in text)
    place = f"score.py:{line} in measured: KeyError: 'every other program'"
    for said in (done.stdout, cli("show", "out").stdout):
        assert "failed in the evaluator itself:" in said
        assert place in said
        assert "Warning: most failures are raised in score.py itself" in said
        assert "crashed in the evaluator" in cli("show", "out").stdout
    records = cli.json("show", "out")["failures"]
    assert records[0]["in_evaluator"] is True
    assert records[0]["message"] == "KeyError: 'every other program'"
    assert "failed in the evaluator itself" in (cli.folder / "out" / "report.html").read_text()
    log = (cli.folder / "out" / "run.log").read_text()
    for word in ("one", "two \\x1b[31m", "three"):
        assert f"program 0: {word}\n" in log
        assert f"program 1: {word}\n" in log
        assert word not in done.stdout


@pytest.mark.parametrize("form", [OUTSIDE, INSIDE], ids=["outside", "inside"])
def test_results_that_are_no_numbers_end_no_run(
    cli: CommandLine, make_task: MakeTask, form: str
) -> None:
    task = make_task(score=form + NAN)
    out = cli("run", task, "--evaluations", 26, "--seed", 1, "--out", "out").stdout
    assert "all evaluations are spent" in out
    assert "rejected: error is nan" in out
    assert "most failures are raised" not in out
    (cli.folder / "other.py").write_text(CURVE.replace("0.5", "0.25"))
    verdict = cli.json("evaluate", task, "--program", "other.py")
    assert (verdict["status"], verdict["feedback"]) == ("rejected", "error is nan")


@pytest.mark.parametrize("form", [OUTSIDE, INSIDE], ids=["outside", "inside"])
def test_of_the_seed_they_are_an_error(cli: CommandLine, make_task: MakeTask, form: str) -> None:
    task = make_task(score=form + NAN.replace("==", "!="))
    said = cli.refuses("run", task, "--evaluations", 3)
    assert "metric 'error' is nan; mend the program or the evaluator" in said


@pytest.mark.parametrize("form", [OUTSIDE, INSIDE], ids=["outside", "inside"])
def test_what_an_evaluator_prints_is_shown(
    cli: CommandLine, make_task: MakeTask, form: str
) -> None:
    task = make_task(score=form + NAN)
    printed = "evaluator: one\nevaluator: two \\x1b[31m\nevaluator: three\n"
    if form == OUTSIDE:  # two pipes, one after the other, and each in its own order
        assert sorted(cli("evaluate", task).stderr.splitlines()) == sorted(printed.splitlines())
    else:
        assert cli("evaluate", task).stderr == printed
    assert cli.json("evaluate", task)["status"] == "ok"
    assert "evaluator: three\n" in cli("doctor", task).stderr
    (cli.folder / "score.py").write_text(form + NAN)
    (cli.folder / "curve.py").write_text(CURVE)
    assert "evaluator: three\n" in cli("init", "curve.py", "score.py:score", "--out", "made").stderr


def test_what_is_printed_before_an_evaluator_hangs_is_kept(
    cli: CommandLine, make_task: MakeTask
) -> None:
    score = SCORE.replace("    points", "    print('so far')\n    while True: pass\n    points")
    task = make_task(toml=TASK_TOML.replace("10.0", "0.5"), score=score)
    assert "evaluator: so far\n" in cli("evaluate", task, code=2).stderr
