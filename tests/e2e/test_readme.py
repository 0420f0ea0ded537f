"""What the README tells a newcomer to do works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from command_line import CommandLine

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def test_a_task_of_your_own(cli: CommandLine) -> None:
    section = README.split("## A task of your own")[1].split("\n##")[0]
    program, score, library = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (cli.folder / "sine.py").write_text(program)
    (cli.folder / "score.py").write_text(score)
    commands = re.findall(r"^evolver ([^#\n]*)", section, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["init", "doctor", "run"]
    for command in commands:
        said = cli(*command.replace("500", "60").split()).stdout
    assert "60 evaluations" in said
    best = cli.json("show")["best_metrics"]["error"]
    assert best < cli.json("evaluate", "sine")["metrics"]["error"]
    assert "evolver.evolve(sine, evaluate=score, minimize=" in library  # see test_library.py


def test_the_table_of_commands_is_complete(cli: CommandLine) -> None:
    told = set(re.findall(r"^\| `(\w+)", README.split("## Commands")[1], re.MULTILINE))
    shown = cli("--help").stdout.split("Commands:")[1]
    assert told == set(re.findall(r"^  (\w+)  ", shown, re.MULTILINE))
