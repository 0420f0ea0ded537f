"""`--set KEY=VALUE` on every command that reads a task."""

from __future__ import annotations

from pathlib import Path

from command_line import CommandLine

SCORE = """
def score(candidate, at=1.0):
    return {"error": abs(candidate.call("curve", at) - 2.0**at)}
"""


def test_every_command_that_reads_a_task_takes_other_values_for_its_keys(
    cli: CommandLine, task: Path
) -> None:
    (task / "score.py").write_text(SCORE)
    at = ("--set", "evaluator.with.at=3")
    assert cli.json("evaluate", "curve", *at)["metrics"] == {"error": 4.5}
    assert cli.json("doctor", "curve", *at)["metrics"] == {"error": 4.5}
    asks = ("--set", 'operator=[{ use = "diff" }]', "--set", "task.description=Draw a line.")
    assert "Draw a line." in cli("prompt", "curve", *asks).stdout
    done = cli.json("run", "curve", "--evaluations", 5, "--out", "one", *at)
    assert done["best_metrics"]["error"] <= 4.5
    assert cli.json("show", "one", 0)["metrics"] == {"error": 4.5}
    said = cli.refuses("resume", "one", "--set", "evaluator.with.at=2")
    assert "cannot change within a run" in said
    more = cli.json("resume", "one", "--set", "budget.evaluations=8", "--set", "model_share=0.5")
    assert more["evaluations"] == 8
    words = ("fork", "one", "--out", "two", "--evaluations", 10)
    assert "another program" in cli.refuses(*words, "--set", "task.program=score.py")
    assert cli.json(*words, "--set", "islands.number=2")["evaluations"] == 10
    said = cli.refuses("run", "curve", "--set", "operator.mutate.limt=3")
    assert "[[operator]] mutate: unknown key 'limt'; did you mean 'limit'?" in said
    said = cli.refuses("run", "curve", "--set", "evaluator.with.att=3")
    assert "unknown key 'att'; did you mean 'at'?" in said
