"""Small sizes of the benchmarks that a run with a model must stand: faults and kills."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def trial(name: str, *words: object) -> str:
    """Run a benchmark; it exits with 1 where something is lost or paid for twice."""
    done = subprocess.run(
        [sys.executable, BENCHMARKS / name, *map(str, words)],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_faults_lose_no_answer_and_no_token() -> None:
    said = trial("faults.py", "--evaluations", 30)
    assert "Every answer is accounted for, to the token." in said


def test_five_kills_pay_for_nothing_twice() -> None:
    said = trial("kills.py", 5)
    assert "Nothing was paid for twice." in said
