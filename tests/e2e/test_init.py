"""`init` makes a task that runs, and finds out what it can."""

from __future__ import annotations

import tomllib
from typing import Any

from command_line import CURVE, SCORE, CommandLine


def write(cli: CommandLine, score: str, program: str = CURVE) -> None:
    (cli.folder / "curve.py").write_text(program)
    (cli.folder / "score.py").write_text(score)


def made(cli: CommandLine, folder: str = "curve") -> dict[str, Any]:
    return tomllib.loads((cli.folder / folder / "task.toml").read_text())


def test_a_metric_whose_name_tells_its_direction(cli: CommandLine) -> None:
    write(cli, SCORE)
    said = cli("init", "curve.py", "score.py").stdout
    assert "Assumed: minimize error" in said
    task = made(cli)
    assert task["objective"] == {"minimize": ["error"]}
    assert task["evaluator"]["use"] == "score.py:score"
    assert task["task"]["description"] == "A curve."
    assert "holds a task already" in cli.refuses("init", "curve.py", "score.py")
    assert cli.json("run", "curve", "--evaluations", 5)["evaluations"] == 5


def test_a_bare_number_gets_a_name(cli: CommandLine) -> None:
    write(cli, "def points(candidate):\n    return candidate.call('curve', 1.0)\n")
    assert "maximize score" in cli("init", "curve.py", "score.py", "--out", "task").stdout
    assert made(cli, "task")["objective"] == {"maximize": ["score"]}
    assert cli.json("evaluate", "task")["metrics"] == {"score": 1.5}


def test_several_metrics_need_directions(cli: CommandLine) -> None:
    write(
        cli, "def score(candidate):\n    return {'height': candidate.call('curve', 1.0), 'w': 2}\n"
    )
    said = cli.refuses("init", "curve.py", "score.py")
    assert "returns height, w" in said
    assert "--maximize METRIC" in said
    words = ("init", "curve.py", "score.py:score", "--maximize", "height", "--minimize")
    assert "returns no 'width'" in cli.refuses(*words, "width")
    cli(*words, "w")
    # The reference is worse than the seed, so that the seed itself counts.
    assert made(cli)["objective"]["reference"] == {"height": 0.0, "w": 4.0}
    assert cli.json("run", "curve", "--evaluations", 3)["best_score"] > 0


def test_what_cannot_be_made_a_task(cli: CommandLine) -> None:
    write(cli, "def a(candidate): ...\n\n\ndef b(candidate): ...\n")
    assert "name the one that scores" in cli.refuses("init", "curve.py", "score.py")
    assert "defines no function 'c'; it has a, b" in cli.refuses("init", "curve.py", "score.py:c")
    write(cli, "def score(wrong):\n    return wrong(3)\n")
    said = cli.refuses("init", "curve.py", "score.py")
    assert "candidate.call('curve', x)" in said  # how it should be called
    assert "not callable" in said  # and what happened
    write(cli, SCORE, program="def curve(x):\n    return y\n")
    assert "NameError" in cli.refuses("init", "curve.py", "score.py")
    assert "both called curve.py" in cli.refuses("init", "curve.py", "curve.py")
    assert not (cli.folder / "curve").exists()


def test_slow_libraries_are_loaded_once(cli: CommandLine) -> None:
    program = "import numpy as np\n\n\ndef curve(x):\n    return float(np.cos(x))\n"
    write(cli, SCORE, program=program)
    cli("init", "curve.py", "score.py")
    assert made(cli)["sandbox"] == {"preload": ["numpy"]}
    assert cli.json("evaluate", "curve")["status"] == "ok"
