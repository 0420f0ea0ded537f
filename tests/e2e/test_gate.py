"""Evaluators that prefer bad programs are told before a run spends anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import TASK_TOML, CommandLine, MakeTask

import evolver

CHEAT = 'answer = 1\n\n\ndef curve(x):\n    return {"error": 0.0}\n'
# It believes what a candidate says of itself, once it says it in the right form.
CREDULOUS = """
def score(candidate):
    y = candidate.call("curve", 1.0)
    return dict(y) if isinstance(y, dict) else {"error": abs(y - 2.0)}
"""
# What cannot be measured is worth more than what is measured and bad.
FORGIVING = """
import evolver


def score(candidate):
    try:
        return {"error": abs(candidate.call("curve", 1.0) - 2.0)}
    except evolver.CandidateError:
        return {"error": 0.0}
"""
# It times the candidate by the candidate's own clock.
TRUSTING_ITS_CLOCK = """
import importlib.util
import time


def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    started = time.perf_counter()
    for _ in range(400_000):  # some time slices long, so that a busy machine is little noise
        program.curve(1.0)
    return {"error": time.perf_counter() - started}
"""


def with_cheats(task: Path) -> Path:
    (task / "cheats").mkdir()
    (task / "cheats" / "self_report.py").write_text(CHEAT)
    toml = (task / "task.toml").read_text()
    named = 'use     = "score.py:score"\nmust_reject = "cheats/*.py"'
    (task / "task.toml").write_text(toml.replace('use     = "score.py:score"', named))
    return task


def test_a_cheat_that_the_task_names(cli: CommandLine, make_task: MakeTask) -> None:
    task = with_cheats(make_task(score=CREDULOUS))
    said = cli.refuses("run", task, "--evaluations", 5, "--out", "one")
    assert "prefers a program that is known to be bad to the seed (error 0.5)" in said
    assert "cheats/self_report.py (named by the task): error 0" in said
    assert "--skip-gate" in said
    assert not (cli.folder / "one").exists()  # nothing was spent
    told = cli.json("run", task, "--evaluations", 5, "--out", "one", "--skip-gate")
    assert told["evaluations"] == 5
    assert "gate: skipped by --skip-gate" in cli("show", "one").stdout
    assert cli.json("show", "one")["gate"] == {"skipped": True}
    assert "skipped by --skip-gate" in (cli.folder / "one" / "report.html").read_text()


def test_a_gate_that_holds_is_recorded_and_not_repeated(cli: CommandLine, task: Path) -> None:
    with_cheats(task)
    words = ("--evaluations", 4, "--seed", 1, "--deterministic")
    assert cli.json("run", task, *words, "--out", "one")["evaluations"] == 4
    gate = cli.json("show", "one")["gate"]
    assert [program["name"] for program in gate["programs"]] == [
        "cheats/self_report.py", "no-op", "constant", "oversized", "crash", "slow clock",
        "backward clock",
    ]  # fmt: skip
    assert not any(program["passes"] for program in gate["programs"])
    assert "gate: none of 7 bad programs scored above the seed" in cli("show", "one").stdout
    cli("resume", "one", "--evaluations", 6)
    assert cli.json("show", "one")["gate"] == gate
    # It decides nothing: without it the run is the same.
    cli("run", task, *words, "--skip-gate", "--out", "two")
    cli("resume", "two", "--evaluations", 6)
    shown = [cli("best", name).stdout for name in ("one", "two")]
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    ("score", "names"),
    [
        (FORGIVING, ("oversized", "crash")),
        (TRUSTING_ITS_CLOCK, ("slow clock", "backward clock")),
    ],
)
def test_holes_that_nobody_named(
    cli: CommandLine, make_task: MakeTask, score: str, names: tuple[str, ...]
) -> None:
    toml = TASK_TOML.replace("score.py:score", "score.py:evaluate")
    task = make_task(score=score, **({} if "def score" in score else {"toml": toml}))
    said = cli.refuses("run", task, "--evaluations", 5)
    for name in names:
        assert f"  {name} (" in said


def test_the_library_has_a_gate_too(tmp_path: Path) -> None:
    def flat(candidate):  # type: ignore[no-untyped-def]
        return {"height": abs(candidate.call("f", 1.0))}

    program = "def f(x):\n    return x + 0.5\n"
    settings = {"minimize": "height", "evaluations": 4}
    with pytest.raises(
        evolver.UsageError, match=r"constant \(every function returns 0\): height 0"
    ):
        evolver.evolve(program, evaluate=flat, out=tmp_path / "one", **settings)
    run = evolver.evolve(program, evaluate=flat, out=tmp_path / "two", skip_gate=True, **settings)
    assert run.facts["gate"] == {"skipped": True}
