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


def test_a_function_of_the_programs_path_runs_inside_and_is_untrusted(cli: CommandLine) -> None:
    write(
        cli,
        "import importlib.util\nimport known\n\n\n"
        "def evaluate_stage1(program_path):\n    return {'runs': 1}\n\n\n"
        "def evaluate(program_path):\n"
        "    spec = importlib.util.spec_from_file_location('program', program_path)\n"
        "    program = importlib.util.module_from_spec(spec)\n"
        "    spec.loader.exec_module(program)\n"
        "    return {'combined_score': -abs(program.curve(1.0) - known.TARGET), 'seconds': 0.1}\n",
    )
    (cli.folder / "known.py").write_text("TARGET = 2.0\n")
    said = cli("init", "curve.py", "score.py").stdout
    assert "Assumed: maximize combined_score" in said
    assert "Untrusted: evaluate takes a program's path" in said
    done = cli("run", "curve", "--evaluations", 30, "--seed", 1, "--out", "one").stdout
    assert "(untrusted)" in done.splitlines()[0]  # of the live view
    assert "\nbest (untrusted)" in done
    assert "(untrusted)" in (cli.folder / "one" / "report.html").read_text()
    assert "(untrusted)" in cli("best", "one").stderr
    assert "combined_score -0.5, seconds 0.1 (untrusted)" in cli("show", "one", 0).stdout
    assert cli.json("show", "one")["best_trusted"] is False
    assert cli.json("show", "one", 0)["trusted"] is False
    assert cli.json("evaluate", "curve")["trusted"] is False
