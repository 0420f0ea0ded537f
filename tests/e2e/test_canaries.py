"""A program that looks for its judge: its user is told how it was found out, a prompt is not."""

from __future__ import annotations

from pathlib import Path

from command_line import CURVE, CommandLine, MakeTask

LOOKING = "try:\n    import evolver\nexcept ImportError:\n    pass\n\n\n" + CURVE


def test_a_program_that_looks_for_its_judge_is_rejected(cli: CommandLine, task: Path) -> None:
    (cli.folder / "looking.py").write_text(LOOKING)
    told = cli.json("evaluate", task, "--program", "looking.py")
    assert (told["status"], told["objectives"]) == ("rejected", None)
    assert told["flags"] == ["it opened the decoy evolver/__init__.py"]
    assert "decoy" not in told["feedback"]
    assert told["flags"][0] in cli("evaluate", task, "--program", "looking.py").stdout


def test_a_seed_that_looks_for_its_judge_is_refused(cli: CommandLine, make_task: MakeTask) -> None:
    task = make_task()
    (task / "curve.py").write_text(LOOKING)
    said = cli.refuses("run", task, "--evaluations", 3, "--skip-gate")
    assert "the seed program fails its own evaluation (rejected)" in said
    assert "it opened the decoy evolver/__init__.py" in said
