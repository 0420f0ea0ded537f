"""What programs, evaluators and models wrote cannot act on a terminal, whatever prints it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import CommandLine, write_task

ESC = chr(27)
# Colours, a title with its bell, a link, backspace, a lone CR, C1's CSI, turned text; and markup.
NASTY = (
    f"{ESC}[31m{ESC}]0;t{chr(7)}{ESC}]8;;http://x.example{ESC}\\{chr(8)}\r{chr(0x9B)}1m"
    f"{chr(0x202E)}{chr(0x2066)}[red]:boom:[/red]"
)
HOSTILE = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
OWN = re.compile(r"\x1b\[[0-9;]*[mKAGJ]|\x1b\[\?25[lh]|\r")  # how rich draws

TOML = f"""
[task]
description = {json.dumps(f"Do it {NASTY}")}
program     = ["curve.py"]

[evaluator]
use     = "score.py:score"
timeout = 10.0

[objective]
minimize = [{json.dumps(f"error{NASTY}")}]

[[operator]]
use = "mutate"

[[operator]]
use = "rewrite"

[[model]]
name    = "agent"
use     = "command"
command = "cat ANSWER"
"""
IN_CODE = NASTY.replace("\\", "").replace("\r", "")
PROGRAM = f'''"""A curve {IN_CODE}."""


def curve(x):
    # {IN_CODE}
    return 0.5 + x
'''
SCORE = f"""
from evolver.types import Result

def score(candidate):
    value = abs(candidate.call("curve", 0.5) - 2**0.5)
    print({NASTY!r}, flush=True)
    if value > 1:
        raise ValueError({NASTY!r})
    return Result(
        {{"error" + {NASTY!r}: value}}, feedback={NASTY!r}, artifacts={{"a" + {NASTY!r}: b"x"}}
    )
"""
ANSWER = f"I change it {NASTY}\n```python\n{PROGRAM.replace('0.5 + x', '0.7 + x')}```\n"
ENVIRONMENT = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
RED = f"{ESC}[31m"

COMMANDS = (
    "show DIR", "show DIR --json", "show DIR 0", "show DIR best", "show DIR 0 --json", "best DIR",
    "best DIR --json", "diff DIR seed best", "export DIR", "export DIR --format jsonl",
    "replay DIR", "replay DIR --json", "doctor DIR", "prompt DIR", "prompt TASK",
    "prompt DIR --attempt 1", "fork DIR --at 3 --evaluations 5 --out NEW", "resume DIR",
    "evaluate TASK", "evaluate TASK --json", "doctor TASK", "apply DIR",
    f"show DIR no{RED}", f"show nothing{RED}", f"nonsense{RED}", f"show --{RED}",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which everything that can hold an escape holds some."""
    folder = tmp_path_factory.mktemp("escapes")
    answer = folder / "answer.md"
    answer.write_text(ANSWER, encoding="utf-8")
    toml = TOML.replace("ANSWER", str(answer))
    task = write_task(folder / f"curve{RED}", toml, PROGRAM, SCORE)
    cli = CommandLine(folder)
    done = cli("run", task, "--evaluations", 8, "--out", f"one{RED}", "--seed", 2)
    assert HOSTILE.findall(done.stdout + done.stderr) == []
    return folder / f"one{RED}"


def _words(command: str, run: Path, new: Path) -> list[str]:
    places = {"DIR": run, "TASK": run.parent / f"curve{RED}", "NEW": new}
    return [str(places.get(word, word)) for word in command.split(" ")]


@pytest.mark.parametrize("command", COMMANDS, ids=ascii)
def test_commands_show_control_characters(run: Path, tmp_path: Path, command: str) -> None:
    words = _words(command, run, tmp_path / "new")
    done = subprocess.run(
        [sys.executable, "-m", "evolver", *words],
        cwd=run.parent, env=CommandLine(run.parent).environment, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=120,
    )  # fmt: skip
    said = done.stderr.decode() + ("" if command == "best DIR" else done.stdout.decode())
    assert "Traceback (most recent call last):\n  File" not in done.stderr.decode()
    assert said.strip()
    assert HOSTILE.findall(said) == []
    if command == "best DIR":
        assert RED.encode() in done.stdout  # byte for byte


@pytest.mark.parametrize(
    "command", ["show DIR", "show DIR best", "best DIR", "diff DIR seed best", "export DIR",
                "resume DIR", "fork DIR --at 3 --evaluations 6 --out NEW"],
)  # fmt: skip
def test_a_terminal_gets_nothing_but_our_own_drawing(
    run: Path, tmp_path: Path, command: str
) -> None:
    words = _words(command, run, tmp_path / "new")
    raw = on_a_terminal([sys.executable, "-m", "evolver", *words], run.parent)
    said = OWN.sub("", raw.decode("utf-8", "surrogateescape"))
    assert HOSTILE.findall(said) == []
    assert "\\x1b" in said


def test_the_log_and_the_report_hold_none(run: Path) -> None:
    log = (run / "run.log").read_text(encoding="utf-8")
    assert "\\x1b[31m" in log
    assert HOSTILE.findall(log) == []
    page = (run / "report.html").read_text(encoding="utf-8")
    assert HOSTILE.findall(page.split("<h2>")[-1]) == []


def on_a_terminal(words: list[str], folder: Path) -> bytes:
    """Return what a command writes to a terminal."""
    controller, terminal = pty.openpty()
    environment = {**CommandLine(folder).environment, **ENVIRONMENT}
    process = subprocess.Popen(
        words, cwd=folder, env=environment, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    said = b""
    while True:
        try:
            piece = os.read(controller, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        said += piece
    process.wait(timeout=60)
    os.close(controller)
    return said
