"""The commands and options that people and scripts rely on, as `--help` prints them.

After a change that is meant: EVOLVER_WRITE_GOLDEN=1 python -m pytest tests/golden/test_help.py
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command_line import CommandLine

FOLDER = Path(__file__).parent / "help"
COMMANDS = (
    "", "run", "resume", "show", "best", "diff", "export", "evaluate", "prompt", "answer",
    "tasks", "init", "apply", "doctor", "replay", "fork", "sandbox", "sandbox build",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str, tmp_path: Path) -> None:
    said = CommandLine(tmp_path)(*command.split(), "--help").stdout
    golden = FOLDER / f"{command or 'evolver'}.txt"
    if os.environ.get("EVOLVER_WRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")
