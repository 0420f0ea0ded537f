"""Each kind of bad input is answered with one clear sentence, exit code 2, and nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import CURVE, TASK_TOML, CommandLine, MakeTask


def sentence(text: str) -> str:
    """The first line: what is wrong and what to do."""
    first = text.splitlines()[0]
    assert first.startswith("evolver: ")
    return first


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run", "nowhere"), "nowhere does not exist"),
        (("run", "."), "has no task.toml; make one with 'evolver init"),
        (("resume", "nowhere"), "nowhere holds no run"),
        (("resume",), "there is no run under runs/"),
        (("show", "nowhere"), "nowhere"),
        (("best", "nowhere"), "nowhere"),
        (("init", "no.py", "score.py"), "no.py does not exist"),
    ],
)
def test_a_place_that_is_not_there(cli: CommandLine, words: tuple[str, ...], expected: str) -> None:
    assert expected in sentence(cli.refuses(*words))


def test_a_missing_program_file(cli: CommandLine, make_task: MakeTask) -> None:
    task = make_task(toml=TASK_TOML.replace("curve.py", "missing.py"))
    assert "'missing.py' matches no file" in sentence(cli.refuses("run", task))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("timeout = 10.0", "timeuot = 10.0", "'evaluator.timeuot'; did you mean 'timeout'"),
        ("[objective]", "[objectives]", "unknown key 'objectives'; did you mean 'objective'"),
        ("timeout = 10.0", "timeout = -1", "evaluator.timeout"),
        ("timeout = 10.0", "timeout = ", "task.toml"),
        ('use     = "score.py:score"', "", "'evaluator.use' is missing"),
        ('minimize = ["error"]', "", "[objective]"),
        ("score.py:score", "score.py:scores", "did you mean 'score'"),
        ("score.py:score", "nothing.py:score", "nothing.py does not exist"),
        ("score.py:score", "exq2", "no evaluator named 'exq2'"),
        ('use = "mutate"', 'use = "mutant"', "no operator named 'mutant'; did you mean 'mutate'"),
        ("timeout = 10.0", "with = { depth = 3 }", "unknown key 'depth'"),
    ],
)  # fmt: skip
def test_a_wrong_task_file(
    cli: CommandLine, make_task: MakeTask, old: str, new: str, expected: str
) -> None:
    assert old in TASK_TOML
    task = make_task(toml=TASK_TOML.replace(old, new))
    assert expected in sentence(cli.refuses("run", task, "--evaluations", 3))
    assert not (cli.folder / "runs").exists() or not any((cli.folder / "runs").iterdir())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("raise KeyError('oops')", "KeyError: 'oops'"),
        ("return {}", "returned no metric"),
        ("return {'error': float('nan')}", "'error' is nan"),
        ("return {'error': 'low'}", "'error' is 'low', which is not a number"),
        ("return 'low'", "must return a number, a mapping"),
        ("return {'mistake': 1.0}", "error"),
    ],
)
def test_an_evaluator_that_fails(
    cli: CommandLine, make_task: MakeTask, body: str, expected: str
) -> None:
    task = make_task(score=f"def score(candidate):\n    {body}\n")
    said = cli.refuses("run", task, "--evaluations", 3)
    assert "evaluator" in sentence(said)
    assert expected in said
    assert "evaluator" in sentence(cli.refuses("evaluate", task))


def test_a_seed_that_fails_is_shown_with_its_traceback(
    cli: CommandLine, make_task: MakeTask
) -> None:
    task = make_task(program=CURVE.replace("0.5 + x", "0.5 + missing"))
    said = cli.refuses("run", task, "--evaluations", 3)
    assert "the seed program fails its own evaluation (crashed)" in sentence(said)
    assert "NameError: name 'missing' is not defined" in said
    assert "return 0.5 + missing" in said  # the candidate's own line
    verdict = cli.json("evaluate", task)
    assert (verdict["status"], verdict["objectives"]) == ("crashed", None)


def test_a_seed_that_takes_too_long(cli: CommandLine, make_task: MakeTask) -> None:
    task = make_task(
        toml=TASK_TOML.replace("10.0", "0.5"), program="def curve(x):\n    while True: pass\n"
    )
    assert "(timeout)" in sentence(cli.refuses("run", task, "--evaluations", 3))


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (f"# EVOLVE-BLOCK-START\n{CURVE}", "curve.py:1: EVOLVE-BLOCK-START is never closed"),
        (f"{CURVE}# EVOLVE-BLOCK-END\n", "EVOLVE-BLOCK-END without an EVOLVE-BLOCK-START"),
        (f"# EVOLVE-BLOCK-START\n# EVOLVE-BLOCK-START\n{CURVE}", "do not nest"),
    ],
)
def test_markers_that_do_not_pair(
    cli: CommandLine, make_task: MakeTask, program: str, expected: str
) -> None:
    assert expected in sentence(cli.refuses("run", make_task(program=program)))


def test_a_folder_that_holds_another_run(cli: CommandLine, task: Path, run_dir: Path) -> None:
    before = cli("export", run_dir).stdout
    said = sentence(cli.refuses("run", task, "--out", run_dir))
    assert "holds another run" in said
    assert "evolver resume" in said
    (cli.folder / "full").mkdir()
    (cli.folder / "full" / "thesis.txt").write_text("dear")
    assert "not empty" in sentence(cli.refuses("run", task, "--out", "full"))
    assert cli("export", run_dir).stdout == before


def test_a_damaged_database(cli: CommandLine, run_dir: Path) -> None:
    database = run_dir / "evolver.db"
    content = bytearray(database.read_bytes())
    content[-4096:] = b"\xa5" * 4096  # the last page: rows that were written late
    database.write_bytes(content)
    said = cli.refuses("resume", run_dir)
    assert "is damaged" in sentence(said)
    assert "evolver doctor" in said
    assert "--recover" in cli.refuses("doctor", run_dir)
    cli("doctor", run_dir, "--recover", "whole")
    assert "is whole" in cli("doctor", "whole").stdout
    assert cli.json("resume", "whole", "--evaluations", 45)["evaluations"] == 45


def test_a_truncated_database(cli: CommandLine, run_dir: Path) -> None:
    os.truncate(run_dir / "evolver.db", 6000)
    assert "is damaged" in sentence(cli.refuses("show", run_dir))
    assert "is damaged" in sentence(cli.refuses("resume", run_dir))
    said = cli.refuses("doctor", run_dir)
    assert "too little is readable" in said
    assert str(run_dir / "task") in said


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def test_an_endpoint_that_is_not_there(cli: CommandLine, task: Path) -> None:
    base = f"http://127.0.0.1:{free_port()}/v1"
    words = ("--evaluations", 5, "--model", "m", "--api-base", base, "--out", "out")
    assert base in sentence(cli.refuses("run", task, *words))
    assert not (cli.folder / "out").exists()  # nothing was begun


def test_options_that_make_no_sense(cli: CommandLine, task: Path) -> None:
    assert "--model" in sentence(cli.refuses("run", task, "--api-base", "http://127.0.0.1:9/v1"))
    assert "--evaluations" in sentence(cli.refuses("run", task, "--deterministic", "--seconds", 5))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run",), "missing argument 'TASK'; see 'evolver run -h'"),
        (("run", "t", "--evaluations", "many"), "--evaluations: 'many' is not a whole number; see"),
        (("run", "t", "--seconds", "many"), "--seconds: 'many' is not a number; see"),
        (("fork", "--at", 0), "--at: 0 is less than 1; see 'evolver fork -h'"),
        (("export", "--format", "xml"), "--format: 'xml' is not one of 'csv', 'jsonl'; see"),
        (("show", "--no-such-option"), "no such option: --no-such-option; see 'evolver show -h'"),
        (("runn",), "no such command 'runn'. Did you mean 'run'? See 'evolver -h'"),
    ],
)
def test_wrong_words_are_explained(
    cli: CommandLine, words: tuple[object, ...], expected: str
) -> None:
    said = cli.refuses(*words)
    assert f"evolver: {expected}" in said
    assert len(said.splitlines()) == 1


def test_a_wrong_word_is_one_object_with_json(cli: CommandLine) -> None:
    done = cli("run", "t", "--workers", 0, "--json", code=2)
    assert json.loads(done.stdout) == {"error": "--workers: 0 is less than 1; see 'evolver run -h'"}


def test_no_operator_that_fits(cli: CommandLine, make_task: MakeTask) -> None:
    task = make_task(toml=TASK_TOML.replace("curve.py", "curve.txt"))
    (task / "curve.txt").write_text("one plus x\n")
    said = sentence(cli.refuses("run", task, "--evaluations", 3))
    assert "no operator fits" in said
    assert "--model" in said


_ON_A_SMALL_DISK = """
set -e
mkdir -p "$1"
mount -t tmpfs -o size=300k tmpfs "$1"
cd "$1/.."
"{python}" -m evolver run "$2" --evaluations 4000 --out "$1/out" && exit 99
code=$?
"{python}" -m evolver show "$1/out" --json
mount -o remount,size=100m "$1"
"{python}" -m evolver resume "$1/out" --evaluations "$3" --json
exit $code
"""


def test_a_full_disk(cli: CommandLine, task: Path) -> None:
    unshare = shutil.which("unshare")
    tried = unshare and subprocess.run(
        [unshare, "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True
    )
    if not tried or tried.returncode:
        pytest.skip("needs the right to mount a small file system")
    script = _ON_A_SMALL_DISK.replace("{python}", sys.executable)
    done = subprocess.run(
        [unshare, "--mount", "bash", "-c", script, "-", cli.folder / "disk", task, "600"],
        capture_output=True, text=True, timeout=120, env=cli.environment,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "make room" in done.stderr
    assert "evolver resume" in done.stderr
