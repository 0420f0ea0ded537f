"""Runs whose model is no endpoint, from the command line: a person, a command, another run."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from command_line import TASK_TOML, CommandLine, MakeTask, interrupt, wait_for_line
from llm_server import Asked, LLMServer, nudge_a_constant

pytestmark = pytest.mark.slow

DIFF = TASK_TOML.replace('use = "mutate"', 'use = "diff"')
MANUAL = DIFF + '\n[[model]]\nuse = "manual"\nsettle = 0.0\nconcurrency = 1\n'
# Reads a prompt, and scales a float of the program: as an answer, or in place.
AGENT = dedent(
    """\
    import random, re, sys
    from pathlib import Path

    prompt, source = sys.stdin.read(), Path("curve.py").read_text()
    line = next(line for line in source.splitlines() if "return" in line)
    factor = random.gauss(1, 0.05)
    scaled = re.sub(r"\\d+\\.\\d+", lambda m: repr(float(m[0]) * factor), line, count=1)
    print("Scale a constant.")
    if "in place" in prompt:
        Path("curve.py").write_text(source.replace(line, scaled))
    else:
        print(f"<<<<<<< SEARCH\\n{line}\\n=======\\n{scaled}\\n>>>>>>> REPLACE")
    """
)


def wait_for(folder: Path, pattern: str, seconds: float = 120.0) -> Path:
    """Wait until a file is there; return the first that matches."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"no {pattern} in {folder}")


def edit_of(prompt: str, number: int) -> str:
    """Answer a prompt as the tests' server would."""
    system, _, user = prompt.partition("# The program to improve")
    asked = Asked(number, "any", system, f"# The program to improve{user}", 1, {}, {})
    return nudge_a_constant(asked).written(1)[0]


def stored(run: Path) -> list[dict[str, Any]]:
    """Every stored completion, in the order of attempts."""
    with closing(sqlite3.connect(run / "evolver.db")) as database:
        rows = database.execute("SELECT answers FROM completions ORDER BY attempt, call").fetchall()
    return [answer for (answers,) in rows for answer in json.loads(answers)]


def test_a_person_is_the_model_and_a_stopped_run_keeps_its_prompts(
    cli: CommandLine, make_task: MakeTask
) -> None:
    task, run = make_task(toml=MANUAL), cli.folder / "one"
    process = cli.start("run", task, "--evaluations", 4, "--workers", 1, "--out", run)
    first = wait_for(run / "manual", "prompt-*.md")
    assert re.fullmatch(r"prompt-\d{4}-0\.md", first.name)
    while f"waits for {run}/manual/answer-{first.name[7:]}" not in wait_for_line(process):
        assert process.poll() is None
    interrupt(process)
    assert process.returncode == 130
    waiting = sorted(path.name for path in (run / "manual").glob("prompt-*.md"))
    on_a_terminal(cli, "answer", run, typed=edit_of(first.read_text(), 0))
    typed = first.with_name(first.name.replace("prompt", "answer"))
    assert typed.read_text().startswith("Nudge one constant.")

    process = cli.start("resume", run)
    answered = [first.name]
    while process.poll() is None:
        prompts = sorted((run / "manual").glob("prompt-*.md"))
        for prompt in prompts:
            answer = prompt.with_name(prompt.name.replace("prompt", "answer"))
            if not answer.exists():
                answer.write_text(edit_of(prompt.read_text(), len(answered)))
                answered.append(prompt.name)
        time.sleep(0.05)
    process.communicate()
    assert process.returncode == 0
    assert set(waiting) <= set(answered)  # what was asked before the stop was not asked anew
    assert cli.json("show", run)["evaluations"] == 4
    assert [completion["dollars"] for completion in stored(run)] == [0.0] * len(stored(run))


def test_answers_come_from_a_pipe_and_from_an_editor(cli: CommandLine, make_task: MakeTask) -> None:
    task, run = make_task(toml=MANUAL), cli.folder / "one"
    process = cli.start("run", task, "--evaluations", 3, "--workers", 1, "--out", run)
    try:
        first = wait_for(run / "manual", "prompt-*.md")
        piped = subprocess.run(
            [sys.executable, "-m", "evolver", "answer", run],
            input=edit_of(first.read_text(), 1),
            env=cli.environment,
            text=True,
            capture_output=True,
            timeout=60,
        )
        assert piped.stdout.startswith("1 answered")
        assert first.with_name(first.name.replace("prompt", "answer")).exists()
        editor = cli.folder / "editor.py"
        editor.write_text(
            "import sys\nfrom pathlib import Path\n"
            "file = Path(sys.argv[1])\nprompt = file.read_text()\n"
            "line = next(x for x in prompt.splitlines() if x.startswith('    return'))\n"
            "edit = f'<<<<<<< SEARCH\\n{line}\\n=======\\n{line} * 1.01\\n>>>>>>> REPLACE\\n'\n"
            "file.write_text(edit + prompt)\n"
        )
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            on_a_terminal(cli, "answer", run, editor=f"{sys.executable} {editor}")
        assert process.wait(timeout=30) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_how_many_wait_is_told(cli: CommandLine, make_task: MakeTask) -> None:
    task = make_task(toml=MANUAL.replace("concurrency = 1", "concurrency = 3"))
    run = cli.folder / "one"
    process = cli.start("run", task, "--evaluations", 9, "--workers", 1, "--out", run)
    while len(list(run.glob("manual/prompt-*.md"))) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    interrupt(process)
    waiting = len(list((run / "manual").glob("prompt-*.md")))
    for left in range(waiting - 1, -1, -1):
        done = subprocess.run(
            [sys.executable, "-m", "evolver", "answer", run],
            input="no",
            env=cli.environment,
            text=True,
            capture_output=True,
            timeout=60,
        )
        told = {0: "none waits", 1: "1 waits"}.get(left, f"{left} wait")
        assert done.stdout == f"1 answered, {told}.\n"


def on_a_terminal(cli: CommandLine, *words: object, editor: str = "", typed: str = "") -> None:
    """Run a command with a terminal as its standard input: an editor, or somebody who types."""
    controller, terminal = pty.openpty()
    try:
        os.write(controller, typed.encode() + b"\x04")  # Ctrl-D
        subprocess.run(
            [sys.executable, "-m", "evolver", *map(str, words)],
            stdin=terminal,
            env={**cli.environment, "EDITOR": editor},
            capture_output=True,
            check=True,
            timeout=60,
        )
    finally:
        os.close(controller)
        os.close(terminal)


def test_a_run_that_asks_no_person_has_nothing_to_answer(cli: CommandLine, run_dir: Path) -> None:
    assert "has no model that asks a person" in cli.refuses("answer", run_dir)


@pytest.mark.parametrize("in_place", ["false", "true"])
def test_a_command_is_the_model(cli: CommandLine, make_task: MakeTask, in_place: str) -> None:
    agent = cli.folder / "agent.py"
    agent.write_text(AGENT)
    table = (
        f"\n[[model]]\nuse = 'command'\ncommand = '{sys.executable} {agent}'\n"
        f"edits_in_place = {in_place}\nprice = 0.01\n"
    )
    task = make_task(toml=DIFF + table)
    done = cli.json("run", task, "--evaluations", 8, "--dollars", 1, "--out", "one")
    assert done["evaluations"] == 8
    answers = stored(cli.folder / "one")
    assert len(answers) >= 7
    assert all(("--- a/curve.py" in a["text"]) is (in_place == "true") for a in answers)
    assert {answer["dollars"] for answer in answers} == {0.01}
    assert cli.json("replay", "one")


def test_a_command_that_is_not_there_ends_the_run_in_a_sentence(
    cli: CommandLine, make_task: MakeTask
) -> None:
    task = make_task(toml=DIFF + '\n[[model]]\nuse = "command"\ncommand = "no-such-agent"\n')
    said = cli.refuses("run", task, "--evaluations", 8, "--out", "one")
    assert "the command 'no-such-agent' failed (exit code 127)" in said


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [("--tokens", "needs a model that counts them"), ("--dollars", "set price (dollars for one")],
)
def test_a_limit_that_nobody_could_keep_is_refused(
    cli: CommandLine, make_task: MakeTask, limit: str, sentence: str
) -> None:
    task = make_task(toml=DIFF + '\n[[model]]\nuse = "command"\ncommand = "cat"\n')
    assert sentence in cli.refuses("run", task, limit, 1000, "--out", "one")


def test_another_run_is_the_model(cli: CommandLine, make_task: MakeTask) -> None:
    task = make_task(toml=DIFF)
    with LLMServer(nudge_a_constant) as server:
        words = ("--evaluations", 10, "--deterministic", "--seed", 5)
        model = ("--model", "any", "--api-base", server.address)
        first = cli.json("run", task, *words, *model, "--out", "one")
        asked = len(server.asked)
    (task / "task.toml").write_text(
        DIFF + f'\n[[model]]\nuse = "replay"\nrun = "{cli.folder}/one"\n', encoding="utf-8"
    )
    second = cli.json("run", task, *words, "--out", "two")
    assert second["best_score"] == first["best_score"]
    texts = [[a["text"] for a in stored(cli.folder / name)] for name in ("one", "two")]
    assert texts[0] == texts[1]
    assert len(texts[0]) == asked
