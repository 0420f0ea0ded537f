"""`init` makes a task that runs, and finds out what it can."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from command_line import CURVE, SCORE, CommandLine


def write(cli: CommandLine, score: str, program: str = CURVE) -> None:
    (cli.folder / "curve.py").write_text(program)
    (cli.folder / "score.py").write_text(score)


def lay(folder: Path, files: dict[str, str]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)


def made(cli: CommandLine, folder: str = "curve") -> dict[str, Any]:
    """What a task.toml says that is no default."""
    content = tomllib.loads((cli.folder / folder / "task.toml").read_text())
    return {name: section for name, section in content.items() if section}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def git(folder: Path, *words: str) -> str:
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *author, *words], check=True, capture_output=True, text=True
    )
    return done.stdout


def commit_all(folder: Path) -> None:
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "start")


# --- metrics --------------------------------------------------------------------------------------


def test_a_metric_whose_name_tells_its_direction(cli: CommandLine) -> None:
    write(cli, SCORE)
    said = cli("init", "curve.py", "score.py").stdout
    assert "\nminimize error: by its name\n" in said
    task = made(cli)
    assert task["objective"] == {"minimize": ["error"]}
    assert task["evaluator"] == {"use": "score.py:score"}
    assert task["task"] == {"description": "A curve.", "program": ["curve.py"]}
    assert task["budget"] == {"evaluations": 1000}
    assert "holds a task already" in cli.refuses("init", "curve.py", "score.py")
    assert cli.json("run", "curve", "--evaluations", 5)["evaluations"] == 5


def test_a_bare_number_gets_a_name_and_numbers_tell_its_direction(cli: CommandLine) -> None:
    write(cli, "def points(candidate):\n    return candidate.call('curve', 1.0)\n")
    said = cli("init", "curve.py", "score.py", "--out", "task").stdout
    assert "maximize score: the seed has 1.5, a program that returns 0 has 0;" in said
    assert made(cli, "task")["objective"] == {"maximize": ["score"]}
    assert cli.json("evaluate", "task")["metrics"] == {"score": 1.5}
    write(cli, "def judge(candidate):\n    return (candidate.call('curve', 1.0) - 2.0) ** 2\n")
    said = cli("init", "curve.py", "score.py", "--out", "two").stdout
    assert "minimize score: the seed has 0.25, a program that returns 0 has 4;" in said
    write(cli, "def my_rmse(candidate):\n    return candidate.call('curve', 1.0)\n")
    assert "minimize my_rmse: by its name" in cli("init", "curve.py", "score.py").stdout


def test_a_program_that_returns_nothing_is_asked_where_0_is_as_good(cli: CommandLine) -> None:
    write(
        cli,
        "def judge(candidate):\n    value = candidate.call('curve', 0.0)\n"
        "    return {'flux': 3.0 if value is None else 2.0}\n",
    )
    said = cli("init", "curve.py", "score.py").stdout
    assert "minimize flux: the seed has 2, a program that returns nothing has 3;" in said
    write(cli, "def judge(candidate):\n    return {'flux': 2.0}\n")
    said = cli("init", "curve.py", "score.py", "--out", "two").stdout
    assert "maximize flux: assumed, because neither its name nor a program that returns 0" in said


def test_several_metrics_need_directions(cli: CommandLine) -> None:
    write(
        cli, "def score(candidate):\n    return {'height': candidate.call('curve', 1.0), 'w': 2}\n"
    )
    said = cli.refuses("init", "curve.py", "score.py")
    assert "returns height, w" in said
    assert "--maximize METRIC" in said
    words = ("init", "curve.py", "score.py:score", "--maximize", "height", "--minimize")
    assert "returns no 'hight'; did you mean 'height'" in cli.refuses(*words, "hight")
    cli(*words, "w")
    # The reference is worse than the seed, so that the seed itself counts.
    assert made(cli)["objective"]["reference"] == {"height": 0.0, "w": 4.0}
    assert cli.json("run", "curve", "--evaluations", 3)["best_score"] > 0


# --- what cannot be made --------------------------------------------------------------------------


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


def test_a_folder_is_told_to_name_a_file_of_it(cli: CommandLine) -> None:
    write(cli, SCORE)
    lay(cli.folder, {"geo/a.py": "", "geo/b/c.py": ""})
    said = cli.refuses("init", "geo", "score.py")
    assert "geo is a folder; name the file in it" in said
    lay(cli.folder / "geo", {
        "runs/t/task/x.py": "", "elsewhere/evolver.db": "", "elsewhere/best/x.py": "",
        "t/task.toml": "", "t/x.py": "", ".git/x.py": "", "env/pyvenv.cfg": "", "env/lib/x.py": "",
    })  # fmt: skip
    (cli.folder / "geo" / "loop").symlink_to("..")
    assert cli.refuses("init", "geo", "score.py") == said
    assert "(geo/a.py, geo/b/c.py)" in said
    assert "name the file of the scoring function" in cli.refuses("init", "curve.py", "geo")


@pytest.mark.parametrize("out", ["curve.py/task", "/proc/task", "/dev/null"])
def test_a_place_that_cannot_be_written_is_a_sentence(cli: CommandLine, out: str) -> None:
    write(cli, SCORE)
    for words in (("curve.py", "score.py"), ("--from", "exp2")):
        said = cli.refuses("init", *words, "--out", out)
        assert said.startswith(f"evolver: {out} ")
        assert said.rstrip().endswith(("choose another --out", "another folder with --out"))


def test_what_is_there_already_is_not_replaced(cli: CommandLine) -> None:
    write(cli, SCORE)
    lay(cli.folder, {"curve/mine.txt": "", "here/score.py": "# mine\n"})
    assert "Start with: evolver run curve-task" in cli("init", "curve.py", "score.py").stdout
    assert names(cli.folder / "curve") == {"mine.txt"}
    said = cli.refuses("init", "curve.py", "score.py", "--out", "here")
    assert "here/score.py exists and differs" in said
    assert names(cli.folder / "here") == {"score.py"}
    (cli.folder / "folder" / "score.py").mkdir(parents=True)
    assert "exists and differs" in cli.refuses("init", "curve.py", "score.py", "--out", "folder")


# --- what travels ---------------------------------------------------------------------------------

JUDGE = "def score(candidate):\n    return {'error': abs(TARGET - candidate.call('curve', 1.0))}\n"
TRAVELS = {
    "a module": {"score.py": f"from known import TARGET\n{JUDGE}", "known.py": "TARGET = 2.0\n"},
    "a module by another": {
        "score.py": f"from one import TARGET\n{JUDGE}",
        "one.py": "from two import TARGET\n",
        "two.py": "TARGET = 2.0\n",
    },
    "a package": {
        "score.py": f"from lib.known import TARGET\n{JUDGE}",
        "lib/__init__.py": "",
        "lib/known.py": "from .more import TARGET\n",
        "lib/more.py": "TARGET = 2.0\n",
    },
    "a folder without __init__": {
        "score.py": f"from lib.known import TARGET\n{JUDGE}",
        "lib/known.py": "TARGET = 2.0\n",
    },
    "a module by name": {
        "score.py": f"import importlib\nTARGET = importlib.import_module('known').TARGET\n{JUDGE}",
        "known.py": "TARGET = 2.0\n",
    },
    "a place of its own on the path": {
        "score.py": "import pathlib, sys\n"
        "sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))\n"
        f"from known import TARGET\n{JUDGE}",
        "lib/known.py": "TARGET = 2.0\n",
    },
    "data beside it": {
        "score.py": "import pathlib\n"
        f"TARGET = float(pathlib.Path(__file__).with_name('known.txt').read_text())\n{JUDGE}",
        "known.txt": "2.0",
    },
    "data in the current folder": {
        "score.py": f"TARGET = float(open('data/known.txt').read())\n{JUDGE}",
        "data/known.txt": "2.0",
    },
    "data read while it judges": {
        "score.py": "import json\n\n\ndef score(candidate):\n    with open('known.json') as file:\n"
        "        return {'error': json.load(file) - candidate.call('curve', 1.0)}\n",
        "known.json": "2.0",
    },
    "what a folder lists": {
        "score.py": "import pathlib\n"
        "TARGET = sum(float(p.read_text()) for p in pathlib.Path('data').iterdir())\n" + JUDGE,
        "data/a.txt": "1.0",
        "data/b.txt": "1.0",
    },
    "a file above": {
        "bench/score.py": "import pathlib\n"
        "TARGET = float((pathlib.Path(__file__).parents[1] / 'data/known.txt').read_text())\n"
        + JUDGE,
        "data/known.txt": "2.0",
    },
    "a module above": {
        "bench/score.py": "import pathlib, sys\n"
        "sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))\n"
        f"from known import TARGET\n{JUDGE}",
        "known.py": "TARGET = 2.0\n",
    },
    "a program of its own": {
        "score.py": "import subprocess, sys\nsaid = subprocess.run([sys.executable, 'known.py'], "
        f"capture_output=True, check=True).stdout\nTARGET = float(said)\n{JUDGE}",
        "known.py": "print(2.0)\n",
    },
}  # fmt: skip


@pytest.mark.parametrize("files", TRAVELS.values(), ids=TRAVELS)
def test_what_the_scoring_function_needs_travels(
    cli: CommandLine, tmp_path: Path, files: dict[str, str]
) -> None:
    project = tmp_path / "project"
    lay(project, {"curve.py": CURVE, "unused.txt": "", "unused.py": "", **files})
    here = CommandLine(project)
    score = next(path for path in files if path.endswith("score.py"))
    here("init", "curve.py", score, "--out", "../task")
    assert not (set(names(tmp_path / "task")) & {"unused.txt", "unused.py"})
    project.rename(tmp_path / "gone")
    assert cli.json("evaluate", "task")["metrics"] == {"error": 0.5}


PROGRAMS = {
    "a module": {
        "curve.py": "from known import A\ndef curve(x): return A * x\n", "known.py": "A = 2.0\n"
    },
    "a package": {
        "src/geo/curve.py": "from .known import A\ndef curve(x): return A * x\n",
        "src/geo/__init__.py": "from .more import B\n",
        "src/geo/known.py": "A = 2.0\n",
        "src/geo/more.py": "B = 1.0\n",
    },
    "a package by its name": {
        "src/geo/curve.py": "from geo.known import A\ndef curve(x): return A * x\n",
        "src/geo/__init__.py": "",
        "src/geo/known.py": "A = 2.0\n",
    },
    "a module from the root": {
        "src/curve.py": "from lib.known import A\ndef curve(x): return A * x\n",
        "lib/known.py": "A = 2.0\n",
    },
    "a module by name": {
        "curve.py": "import importlib\nA = importlib.import_module('known').A\n"
        "def curve(x): return A * x\n",
        "known.py": "A = 2.0\n",
    },
    "data beside it": {
        "src/curve.py": "import pathlib\nA = float(pathlib.Path(__file__).with_name('a.txt')"
        ".read_text())\ndef curve(x): return A * x\n",
        "src/a.txt": "2.0",
    },
    "data above it": {
        "src/curve.py": "import pathlib\nA = float((pathlib.Path(__file__).resolve().parents[1] / "
        "'data' / 'a.txt').read_text())\ndef curve(x): return A * x\n",
        "data/a.txt": "2.0",
        "data/b.txt": "3.0",
    },
    "data in the current folder": {
        "src/curve.py": "def curve(x):\n    with open('data/a.txt') as f:\n"
        "        return float(f.read()) * x\n",
        "data/a.txt": "2.0",
    },
    "a folder of data": {
        "curve.py": "import os\ndef curve(x):\n    return len(os.listdir('data')) * x\n",
        "data/a [1].txt": "",
        "data/more/b.txt": "",
    },
}  # fmt: skip


IN_PLACE = ("a package by its name", "data beside it", "data in the current folder")


@pytest.mark.parametrize(
    ("name", "mode"),
    [*((name, "--copy") for name in PROGRAMS), *((name, "--in-place") for name in IN_PLACE)],
)
def test_what_the_program_needs_travels(cli: CommandLine, name: str, mode: str) -> None:
    files = PROGRAMS[name]
    lay(cli.folder, {"score.py": SCORE_2X, "unused.py": "", **files})
    main = next(path for path in files if path.endswith("curve.py"))
    said = cli("init", main, "score.py", mode, "--out", "task").stdout
    assert "the program scores error 0\n" in said  # as a run's copy of it does, judged elsewhere
    section = made(cli, "task")["task"]
    is_in_place = mode == "--in-place"
    assert section.get("root", "") == (".." if is_in_place else "")
    if len(files) > 1:
        assert section["edit"] == section["program"][:1]
    if is_in_place:
        assert section["program"][0] == main
        assert names(cli.folder / "task") == {"task.toml", "score.py"}
    assert "unused.py" not in names(cli.folder / "task")


SCORE_2X = "def score(candidate):\n    return {'error': abs(2.0 - candidate.call('curve', 1.0))}\n"


def test_a_large_folder_goes_along_as_far_as_it_was_read(cli: CommandLine) -> None:
    files = {f"data/{number}.txt": "2.0" for number in range(5100)}
    lay(cli.folder, {"curve.py": CURVE, **files})
    (cli.folder / "score.py").write_text(f"TARGET = float(open('data/7.txt').read())\n{JUDGE}")
    said = cli("init", "curve.py", "score.py").stdout
    assert "data holds more than 64 MiB or 5000 files: only files" in said
    assert names(cli.folder / "curve") == {"task.toml", "curve.py", "score.py", "data/7.txt"}


def test_of_a_folder_of_data_goes_along_what_can_be_copied(cli: CommandLine) -> None:
    lay(cli.folder, {"curve.py": CURVE, "data/known.txt": "2.0", "data/more.txt": ""})
    (cli.folder / "score.py").write_text(f"TARGET = float(open('data/known.txt').read())\n{JUDGE}")
    (cli.folder / "data" / "broken.txt").symlink_to("nowhere")
    os.mkfifo(cli.folder / "data" / "pipe.txt")
    cli("init", "curve.py", "score.py", "--out", "task")
    assert {"data/known.txt", "data/more.txt"} == {
        n for n in names(cli.folder / "task") if "/" in n
    }


def test_what_does_not_travel_is_found_out(tmp_path: Path) -> None:
    project = tmp_path / "project"
    lay(
        project,
        {
            "curve.py": CURVE,
            ".hidden/known.txt": "2.0",
            "score.py": "import pathlib\nTARGET = float((pathlib.Path(__file__).parent / "
            f"'.hidden/known.txt').read_text())\n{JUDGE}",
        },
    )
    said = CommandLine(project).refuses("init", "curve.py", "score.py")
    assert "can be judged here, but not as a task" in said
    assert ".hidden/known.txt" in said
    assert not (project / "curve").exists()


# --- where it lies --------------------------------------------------------------------------------


def test_in_a_repository_the_program_is_evolved_where_it_lies(
    cli: CommandLine, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    lay(project, {**PROGRAMS["a package"], "score.py": SCORE, "secret.txt": "the answer"})
    commit_all(project)
    here = CommandLine(project)
    said = here("init", "src/geo/curve.py", "score.py").stdout
    assert f"The program stays src/geo/curve.py in {project}" in said
    assert made(here)["task"] == {
        "description": "Improve curve.py.",
        "root": "..",
        "program": [
            "src/geo/curve.py", "src/geo/__init__.py", "src/geo/known.py", "src/geo/more.py"
        ],
        "edit": ["src/geo/curve.py"],
    }  # fmt: skip
    done = here.json("run", "curve", "--evaluations", 80, "--seed", 1, "--out", "../run")
    assert done["best_metrics"]["error"] < here.json("show", "../run", 0)["metrics"]["error"]
    assert "secret.txt" not in names(tmp_path / "run")
    cli("apply", "run", "--branch", "better")
    assert git(project, "diff", "--name-only", "HEAD", "better").split() == ["src/geo/curve.py"]
    assert git(project, "status", "--short").split() == ["??", "curve/"]
    assert not list(tmp_path.rglob("__pycache__"))
    said = here("init", "src/geo/curve.py", "score.py", "--copy", "--out", "copied").stdout
    assert "The program stays" not in said
    assert "geo/curve.py" in names(project / "copied")


def test_nothing_is_left_beside_the_users_files(cli: CommandLine) -> None:
    lay(cli.folder, {"curve.py": CURVE, **TRAVELS["a package"], "other.py": "import os\n"})
    before = names(cli.folder)
    cli("init", "curve.py", "score.py", "--out", "task")
    cli("evaluate", "task")
    cli("doctor", "task")
    after = names(cli.folder)
    assert {path for path in after if not path.startswith("task/")} == before
    assert not list(cli.folder.rglob("__pycache__"))


# --- the file that is made ------------------------------------------------------------------------


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
        "    target = float(open('data/target.txt').read())\n"
        "    return {'combined_score': -abs(program.curve(1.0) - target), 'seconds': 0.1}\n",
    )
    (cli.folder / "known.py").write_text("TARGET = 2.0\n")
    lay(cli.folder, {"data/target.txt": "2.0"})
    said = cli("init", "curve.py", "score.py").stdout
    assert "maximize combined_score: by its name" in said
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
