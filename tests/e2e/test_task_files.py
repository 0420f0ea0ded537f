"""Which of a task's files are judged, and which of them a run keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolver.runs import sessions
from evolver.runs.config import Options
from evolver.runs.forking import fork
from evolver.runs.judging import judge
from evolver.runs.replaying import replay
from evolver.runs.starting import start
from evolver.tasks.task import load_task

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
    evaluation = judge(task, seed=1)
    assert (evaluation.status, evaluation.metrics) == ("ok", {"error": 1.0})


def test_what_stands_first_need_not_be_python(folder):
    write(folder, '["notes.txt", "p.py"]', p="def f(x):\n    return x\n")
    (folder / "notes.txt").write_text("A note.\n")
    assert load_task(folder).main == "p.py"


def judged(folder: Path) -> dict[str, float]:
    evaluation = judge(load_task(folder), seed=1)
    assert evaluation.status == "ok", evaluation.feedback
    return dict(evaluation.metrics)


IMPORTS = {
    "a sibling": {"src/p.py": "import q\ndef f(x): return q.A * x\n", "src/q.py": "A = 2.0\n"},
    "a relative one": {
        "geo/p.py": "from .q import A\ndef f(x): return A * x\n",
        "geo/__init__.py": "",
        "geo/q.py": "A = 2.0\n",
    },
    "without an __init__.py": {
        "geo/p.py": "from .q import A\ndef f(x): return A * x\n",
        "geo/q.py": "A = 2.0\n",
    },
    "a package below src": {
        "src/geo/p.py": "from geo.q import B\nfrom . import q\n"
        "def f(x): return (B is q.B) * q.B.a * x\n",
        "src/geo/__init__.py": "",
        "src/geo/q.py": "class B:\n    a = 2.0\n",
    },
    "two levels up": {
        "geo/deep/p.py": "from ..q import A\ndef f(x): return A * x\n",
        "geo/__init__.py": "",
        "geo/deep/__init__.py": "",
        "geo/q.py": "A = 2.0\n",
    },
    "from the root": {
        "lib/q.py": "A = 2.0\n",
        "src/p.py": "from lib.q import A\ndef f(x): return A * x\n",
    },
    "data where it stands": {
        "p.py": "def f(x):\n    with open('data/a.txt') as f:\n"
        "        return float(f.read()) * x\n",
        "data/a.txt": "2.0",
    },
    "data beside it": {
        "src/p.py": "import pathlib\nA = float(pathlib.Path(__file__).with_name('a.txt')"
        ".read_text())\ndef f(x): return A * x\n",
        "src/a.txt": "2.0",
    },
}


@pytest.mark.parametrize("files", IMPORTS.values(), ids=IMPORTS)
def test_a_program_finds_its_modules_and_data_as_where_it_was_written(folder, files):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    main = next(path for path in files if path.endswith("p.py"))
    names = [main, *(path for path in files if path != main)]
    (folder / "task.toml").write_text(TOML.format(program=names))
    assert judged(folder) == {"error": 1.0}


def test_an_evaluator_opens_the_files_of_its_task_wherever_the_run_is_started(
    folder, tmp_path, monkeypatch
):
    write(folder, '["p.py"]', p="def f(x):\n    return x\n")
    (folder / "answer.txt").write_text("5")
    (folder / "score.py").write_text(
        "def score(candidate):\n    with open('answer.txt') as file:\n"
        "        return {'error': float(file.read()) - candidate.call('f', 1.0)}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert judged(folder) == {"error": 4.0}
    run = start(load_task(folder), Options(evaluations=2), out=tmp_path / "run")
    assert run.elites[0].evaluation.metrics == {"error": 4.0}


def test_nothing_is_left_beside_the_users_files(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(folder, '["p.py"]', p="def f(x):\n    return x\n", helper="A = 3\n", late="B = 1\n")
    (folder / "score.py").write_text(
        "import helper\n\ndef score(candidate):\n    import late\n"
        "    return {'error': helper.A - late.B * candidate.call('f', 1.0)}\n"
    )
    (folder / "own.py").write_text(
        "import dataclasses\nfrom evolver.search.selection import Tournament\n\n"
        "@dataclasses.dataclass(frozen=True)\nclass Own(Tournament):\n    pass\n"
    )
    toml = folder / "task.toml"
    toml.write_text(toml.read_text() + '\n[islands]\npolicy = "own.py:Own"\n')
    before = sorted(folder.rglob("*"))
    judged(folder)
    run = start(load_task(folder), Options(evaluations=3), out=tmp_path / "run")
    assert sorted(folder.rglob("*")) == before
    assert not list(run.directory.rglob("__pycache__"))


def test_a_program_is_evolved_where_it_lies_and_the_run_keeps_only_what_is_named(tmp_path):
    project = tmp_path / "project"
    folder = project / "tasks" / "one"
    folder.mkdir(parents=True)
    for path, content in IMPORTS["a relative one"].items():
        (project / path).parent.mkdir(exist_ok=True)
        (project / path).write_text(content)
    (project / "secret.txt").write_text("the answer")
    (folder / "score.py").write_text(SCORE)
    names = '["geo/p.py", "geo/__init__.py", "geo/q.py"]\nroot = "../.."\nedit = ["geo/p.py"]'
    (folder / "task.toml").write_text(TOML.format(program=names))
    run = start(load_task(folder), Options(evaluations=3), out=tmp_path / "run")
    assert run.elites[0].evaluation.metrics == {"error": 1.0}
    assert run.facts["source"] == str(project)
    kept = {path.name for path in run.directory.rglob("*.*")}
    assert {"p.py", "q.py", "score.py"} <= kept
    assert "secret.txt" not in kept
    assert set(run.best.program.files) == {"geo/p.py"}
    again = sessions.resume(run.directory, Options(evaluations=5))
    assert again.evaluations == 5
    branch = fork(run.directory, Options(evaluations=6), out=tmp_path / "fork")
    assert branch.evaluations == 6
    assert not replay(branch.directory).differences
