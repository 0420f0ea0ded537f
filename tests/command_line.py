"""The real command line in real processes, and a task that is quick to judge; for e2e tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from warm_python import run_module

TASK_TOML = """
[task]
description = "Approximate 2**x on [0, 1]."
program     = ["curve.py"]

[evaluator]
use     = "score.py:score"
timeout = 10.0

[objective]
minimize = ["error"]

[[operator]]
use = "mutate"
"""
CURVE = '''"""A curve."""


def curve(x):
    return 0.5 + x
'''
SCORE = """
def score(candidate):
    points = [candidate.call("curve", x) for x in (0.0, 0.3, 0.7, 1.0)]
    return {"error": sum(abs(y - 2.0**x) for x, y in zip((0.0, 0.3, 0.7, 1.0), points))}
"""


class CommandLine:
    """Runs evolver in a folder of its own, as a user would.

    Args:
        folder: where commands run.
        timeout: seconds that a command may take.
        is_cold: each command is a new Python, which orders its sets by another hash seed, and
            not a fork of one that has the libraries already.
    """

    def __init__(self, folder: Path, timeout: float = 300.0, *, is_cold: bool = False) -> None:
        self.folder = folder
        self.timeout = timeout
        self.is_cold = is_cold
        self._started: list[subprocess.Popen[str]] = []

    @property
    def environment(self) -> Mapping[str, str]:
        names = ("PATH", "HOME", "LANG", "EVOLVER_ALLOW_REMOTE_REQUESTS")
        return {name: os.environ[name] for name in names if name in os.environ}

    def __call__(self, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; its exit code must be `code`."""
        run = self._run_cold if self.is_cold else self._run_warm
        done = run(*map(str, words))
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def _run_warm(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run_module(
            "evolver",
            *words,
            folder=self.folder,
            environment=self.environment,
            timeout=self.timeout,
        )

    def _run_cold(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "evolver", *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.timeout,
        )

    def json(self, *words: object) -> dict[str, Any]:
        """Run a command with --json; return the object on its last line."""
        found: dict[str, Any] = json.loads(self(*words, "--json").stdout.splitlines()[-1])
        return found

    def refuses(self, *words: object) -> str:
        """Run a command that must exit 2 without a traceback of ours; return what it says."""
        done = self(*words, code=2)
        assert "evolver/cli" not in done.stderr
        return done.stderr

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Start a command in a process group of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "evolver", *map(str, words)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """Kill what was started and still runs, as where a test failed before its end."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()


MakeTask = Callable[..., Path]


def write_task(
    folder: Path, toml: str = TASK_TOML, program: str = CURVE, score: str = SCORE
) -> Path:
    """Write the three files of a task; any of them can be given."""
    folder.mkdir()
    for file, content in (("task.toml", toml), ("curve.py", program), ("score.py", score)):
        (folder / file).write_text(content, encoding="utf-8")
    return folder


def wait_for_line(process: subprocess.Popen[str]) -> str:
    """Wait until a run has said something: its seed is judged."""
    assert process.stdout is not None
    return process.stdout.readline()


def interrupt(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Press Ctrl-C: the whole foreground process group gets the signal."""
    os.killpg(process.pid, signal.SIGINT)
    return process.communicate(timeout=60)
