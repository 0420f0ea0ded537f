"""Which of a task's files are judged, and which of them a run keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolver import sessions
from evolver.task import load_task

TOML = """
[task]
program = {program}

[evaluator]
use = "score.py:score"

[objective]
minimize = ["error"]
"""
SCORE = """
def score(candidate):
    return {"error": abs(candidate.call("f", 1.0) - 3)}
"""


@pytest.fixture
def folder(tmp_path):
    """A task's folder with an evaluator."""
    made = tmp_path / "task"
    made.mkdir()
    (made / "score.py").write_text(SCORE)
    return made


def write(folder: Path, program: str, **files: str) -> None:
    (folder / "task.toml").write_text(TOML.format(program=program))
    for path, content in files.items():
        (folder / f"{path}.py").write_text(content)


def test_functions_are_looked_for_in_the_first_program_file_even_if_another_is_edited(folder):
    helper = "# EVOLVE-BLOCK-START\nA = 2.0\n# EVOLVE-BLOCK-END\n"
    write(
        folder,
        '["p.py", "helper.py"]',
        p="import helper\n\ndef f(x):\n    return helper.A * x\n",
        helper=helper,
    )
    task = load_task(folder)
    assert (task.main, list(task.files), list(task.readonly)) == ("p.py", ["helper.py"], ["p.py"])
    evaluation = sessions.judge(task, seed=1)
    assert (evaluation.status, evaluation.metrics) == ("ok", {"error": 1.0})


def test_what_stands_first_need_not_be_python(folder):
    write(folder, '["notes.txt", "p.py"]', p="def f(x):\n    return x\n")
    (folder / "notes.txt").write_text("A note.\n")
    assert load_task(folder).main == "p.py"
