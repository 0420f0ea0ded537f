"""What the benchmarks of models share: the tests' LLM server and real runs, in their processes."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SERVER = Path(__file__).resolve().parent.parent / "tests" / "llm_server.py"
# Half of a curve and five floats to nudge. The evaluator sleeps, and notes what it was given.
PROGRAM = """\
def curve(x):
    a = 0.5
    b = 1.25
    c = 0.125
    if x > 0.5:
        a = a * 1.5
    return a + b * x + c * x * x
"""
EVALUATOR = """\
import hashlib
import os
import time

KNOWN = [(x / 8, 2.0 ** (x / 8)) for x in range(9)]


def score(candidate, sleep=0.0, journal=""):
    if journal:
        source = b"".join(candidate.files[name] for name in sorted(candidate.files))
        line = f"{time.time()} {hashlib.sha256(source).hexdigest()}\\n"
        file = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, line.encode())
        os.close(file)
    time.sleep(sleep)
    return {"error": max(abs(candidate.call("curve", x) - y) for x, y in KNOWN)}
"""
TASK = """\
[task]
description = "Approximate 2**x on [0, 1]."
program     = ["curve.py"]

[evaluator]
use     = "score.py:score"
timeout = 30.0
with    = {{ sleep = {sleep}, journal = "{journal}" }}

[objective]
minimize = ["error"]

[[operator]]
use = "diff"

[[operator]]
use = "rewrite"

[[model]]
name        = "any"
api_base    = "{address}"
concurrency = {concurrency}
backoff     = 0.05
"""


@contextlib.contextmanager
def server(*options: object) -> Iterator[str]:
    """Run the server in a process of its own; yield its address."""
    words = [sys.executable, str(SERVER), *map(str, options)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def ledger(address: str) -> dict[str, Any]:
    """Return what the server says that it sent."""
    with urllib.request.urlopen(address.replace("/v1", "/ledger"), timeout=30) as response:
        found: dict[str, Any] = json.load(response)
    return found


def write_task(
    folder: Path, address: str, *, concurrency: int, sleep: float = 0.0, journal: str = ""
) -> Path:
    """Write a task whose operators ask the server; return its folder."""
    folder.mkdir()
    toml = TASK.format(address=address, concurrency=concurrency, sleep=sleep, journal=journal)
    for name, text in (("task.toml", toml), ("curve.py", PROGRAM), ("score.py", EVALUATOR)):
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def start(*words: object, log: Path) -> subprocess.Popen[bytes]:
    """Start the command line; what it says goes to a file."""
    environment = {**os.environ, "EVOLVER_ALLOW_REMOTE_REQUESTS": "0"}
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "evolver", *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
        )


def rows(run: Path, question: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask a run's database, which somebody else may be writing."""
    with contextlib.closing(
        sqlite3.connect(f"file:{run}/evolver.db?mode=ro", uri=True, timeout=30)
    ) as database:
        return database.execute(question, values).fetchall()


def peak_memory(pid: int) -> float:
    """Return the most memory that a process has had resident, in MB; 0 where it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1000
    return 0.0
