"""A run that its reader may not write: read, replayed and forked, and refused to be resumed."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from command_line import CommandLine
from other_user import NOBODY, can_change_user, run_python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_change_user(), reason="root may write everything"),
]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users may write, and the way to which they may go."""
    with tempfile.TemporaryDirectory(prefix="evolver-test-") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def read_only(source: Path, target: Path, *, leave_out: str = "") -> Path:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(leave_out))
    for path in (target, *target.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return target


def said(*words: object, code: int = 0) -> str:
    done: subprocess.CompletedProcess[str] = run_python(
        ["-m", "evolver", *map(str, words)], uid=NOBODY, timeout=120
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_run_of_somebody_else_is_read_and_forked_but_not_resumed(
    cli: CommandLine, run_dir: Path, place: Path
) -> None:
    told = cli("show", run_dir).stdout.partition("\n")[2]
    assert said("show", read_only(run_dir, place / "read")).partition("\n")[2] == told
    with closing(sqlite3.connect(run_dir / "evolver.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")  # as earlier versions left it
    theirs = read_only(run_dir, place / "theirs", leave_out="evolver.db-*")
    assert said("show", theirs).partition("\n")[2] == told
    assert "same programs, scores and order" in said("replay", theirs)
    refused = said("resume", theirs, "--evaluations", 99, code=2)
    again = f"make it writable, then go on by 'evolver resume {theirs}'"
    assert f"{theirs} cannot be written: Permission denied; {again}" in refused
    fork = ("fork", theirs, "--at", 5, "--evaluations", 8, "--out", place / "fork")
    assert "8 evaluations" in said(*fork)
    assert "9 evaluations" in said("resume", place / "fork", "--evaluations", 9)
    assert "go on: " in said("doctor", theirs, "--recover", place / "recovered")
    assert (place / "recovered" / "best").stat().st_mode & 0o200


def test_a_task_of_somebody_else_is_run(task: Path, place: Path) -> None:
    theirs = read_only(task, place / "theirs")
    assert "5 evaluations" in said("run", theirs, "--evaluations", 5, "--out", place / "out")
