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

# Colours, a title with its bell, a link, backspaces, a lone CR, C1's CSI, reversed text; markup.
NASTY = "\x1b[31m\x1b]0;t\x07\x1b]8;;http://x.example\x1b\\\b\r\x9b1m\u202e\u2066[red]:boom:[/red]"
HOSTILE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
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
use = "full"

[[model]]
name = "agent"
use = "command"
command = ["cat", "answer.md"]
"""
PROGRAM = (
    f'"""A curve {NASTY.replace(chr(92), "")}."""\n\n\ndef curve(x):\n    return 0.5 + x\n'.replace(
        "\r", ""
    )
)
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


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which everything that can hold an escape holds some."""
    folder = tmp_path_factory.mktemp("escapes")
    task = write_task(folder / "curve\x1b[31m", TOML, PROGRAM, SCORE)
    (task / "answer.md").write_text(ANSWER, encoding="utf-8")
    cli = CommandLine(folder)
    done = cli("run", task, "--evaluations", 8, "--out", "one\x1b[31m", "--seed", 2)
    assert HOSTILE.findall(done.stdout + done.stderr) == []
    return folder / "one\x1b[31m"


COMMANDS = (
    "show", "show --json", "show DIR 0", "show DIR best", "show DIR 0 --json", "best",
    "best --json",
    "diff DIR seed best", "export", "export --format jsonl", "replay", "replay --json", "doctor",
    "prompt", "prompt DIR --attempt 1", "fork DIR --at 3 --evaluations 5 --out NEW", "resume",
    "evaluate TASK", "evaluate TASK --json", "doctor TASK", "apply",
    "show DIR no\x1b[31m", "show nothing\x1b[31m", "nonsense\x1b[31m", "show --\x1b[31m",
)  # fmt: skip


def _words(command: str, run: Path, new: Path) -> list[str]:
    places = {"DIR": run, "TASK": run.parent / "curve\x1b[31m", "NEW": new}
    words = [str(places.get(word, word)) for word in command.split(" ")]
    takes_one = command.split(" ")[0] not in ("evaluate", "nonsense\x1b[31m")
    return (
        [*words[:1], str(run), *words[1:]]
        if takes_one and len(words) < 3 and ("TASK" not in command and "\x1b" not in command)
        else words
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_show_control_characters(run: Path, tmp_path: Path, command: str) -> None:
    words = _words(command, run, tmp_path / "new")
    done = subprocess.run(
        [sys.executable, "-m", "evolver", *words],
        cwd=run.parent, env=CommandLine(run.parent).environment, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=120,
    )  # fmt: skip
    said = done.stderr.decode("utf-8") + ("" if words[0] == "best" else done.stdout.decode("utf-8"))
    assert "Traceback" not in done.stderr.decode()
    assert HOSTILE.findall(said) == []
    if command == "best":
        assert b"\x1b[31m" in done.stdout  # byte for byte


@pytest.mark.parametrize(
    "command", ["show", "show DIR best", "best", "diff DIR seed best", "export", "resume",
                "fork DIR --at 3 --evaluations 6 --out NEW"],
)  # fmt: skip
def test_a_terminal_gets_nothing_but_our_own_drawing(
    run: Path, tmp_path: Path, command: str
) -> None:
    words = _words(command, run, tmp_path / "new")
    raw = on_a_terminal([sys.executable, "-m", "evolver", *words], run.parent)
    said = OWN.sub("", raw.decode("utf-8", "surrogateescape"))
    assert HOSTILE.findall(said) == []
    if command != "export":
        assert "[red]:boom:[/red]" in said.replace("\n", "") or command in ("resume",)


def test_the_log_and_the_report_hold_none(run: Path) -> None:
    log = (run / "run.log").read_text(encoding="utf-8")
    assert r"\x1b[31m" in log
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
