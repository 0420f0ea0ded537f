"""What ends a command from outside: SIGTERM, Ctrl-C twice, a reader that has enough."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import CommandLine, MakeTask, wait_for_line

SLOW = """
import time

def score(candidate):
    time.sleep(0.2)
    return {"error": abs(candidate.call("curve", 0.5) - 2**0.5) + 1}
"""
ENDLESS = SLOW.replace("0.2", "1000")


def children(process: int) -> set[int]:
    """Return the processes that have a process as their parent, however far above."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = dict(map(int, line.split()) for line in listed.stdout.splitlines())
    found = {process}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


def assert_gone(processes: set[int]) -> None:
    """Wait for processes to end; what nothing waits for any more stays as a zombie."""

    def alive() -> set[int]:
        listed = subprocess.run(["ps", "-eo", "pid=,stat="], capture_output=True, text=True)
        states = dict(line.split() for line in listed.stdout.splitlines())
        return {pid for pid in processes if states.get(str(pid), "Z")[0] != "Z"}

    deadline = time.monotonic() + 10
    while alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive()


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_stops_with_what_it_has_and_leaves_no_process(
    cli: CommandLine, make_task: MakeTask, number: int, times: int
) -> None:
    process = cli.start("run", make_task(score=SLOW), "--out", "one", "--evaluations", 1000)
    wait_for_line(process)
    started = children(process.pid)
    assert started
    for _ in range(times):
        os.kill(process.pid, number)  # it alone, as a supervisor does
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert_gone(started)
    if times == 1:
        assert "evolver resume" in said
        assert cli.json("show", "one")["stopped"] == "interrupted"
    spent = cli.json("show", "one")["evaluations"]
    assert cli.json("resume", "one", "--evaluations", spent + 2)["evaluations"] == spent + 2


@pytest.mark.parametrize("command", ["evaluate", "doctor", "init"])
def test_commands_that_judge_without_a_run_stop_too(
    cli: CommandLine, make_task: MakeTask, command: str
) -> None:
    task = make_task(score=ENDLESS)
    words = (task / "curve.py", task / "score.py") if command == "init" else (task,)
    process = cli.start(command, *words, *(["--out", "new"] if command == "init" else []))
    deadline = time.monotonic() + 30
    while len(started := children(process.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "evolver: interrupted\n")
    assert_gone(started)


@pytest.mark.parametrize(
    "words", [("export",), ("show",), ("best",), ("--help",), ("run", "curve")]
)
def test_a_reader_that_has_enough_ends_a_command_without_a_word(
    cli: CommandLine, run_dir: Path, task: Path, words: tuple[str, ...]
) -> None:
    if words[0] in ("export", "show", "best"):
        words = (*words, str(run_dir))
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "evolver", *words],
        cwd=cli.folder, env=cli.environment, stdout=write, stderr=subprocess.PIPE, timeout=60,
    )  # fmt: skip
    os.close(write)
    assert done.returncode == 141
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
