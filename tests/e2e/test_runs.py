"""Runs through the real command line: from start to end, through kills, from one to the next."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import TASK_TOML, CommandLine, MakeTask, interrupt, wait_for_line


def programs(cli: CommandLine, run: Path | str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(cli("export", run).stdout)))


def database_files(run: Path) -> list[str]:
    return sorted(path.name for path in run.glob("evolver.db*"))


def test_a_run_spends_exactly_what_it_was_given(cli: CommandLine, task: Path) -> None:
    told = cli.json("run", task, "--evaluations", 40, "--seed", 3, "--workers", 2)
    assert set(told) >= {
        "best_score", "best_metrics", "evaluations", "attempts", "seconds", "run_dir", "stopped",
    }  # fmt: skip
    assert (told["evaluations"], told["stopped"]) == (40, "evaluations")
    assert told["best_score"] == -told["best_metrics"]["error"]
    run = Path(told["run_dir"])
    assert run.parent == cli.folder / "runs"
    assert run.name.startswith("curve-")
    for name in ("best/curve.py", "report.html", "run.log", "evolver.db"):
        assert (run / name).is_file()
    assert database_files(run) == ["evolver.db"]
    # Without a directory, the latest run is meant.
    assert cli.folder / cli.json("show")["run_dir"] == run


def test_people_read_standard_output_and_machines_its_last_line(
    cli: CommandLine, task: Path
) -> None:
    done = cli("run", task, "--evaluations", 5, "--json")
    assert len(done.stdout.splitlines()) == 1
    assert "5 evaluations" in done.stderr
    plain = cli("run", task, "--evaluations", 5)
    assert "5 evaluations" in plain.stdout
    assert "Best: error " in plain.stdout
    assert "confirmed: the same on fresh inputs" in plain.stdout or "seed" in plain.stdout
    assert plain.stderr == ""


def test_a_budget_in_seconds_and_a_target(cli: CommandLine, task: Path) -> None:
    told = cli.json("run", task, "--seconds", 1.5)
    assert told["stopped"] == "seconds"
    assert 1.4 < told["seconds"] < 20  # other tests keep the machine busy
    told = cli.json("run", task, "--target", "5.0")  # of a minimised metric, in its own unit
    assert told["stopped"] == "target"
    assert told["best_value"] == told["best_metrics"]["error"] == -told["best_score"] <= 5.0
    score = cli("run", task, "--target", -0.05, "--evaluations", 3).stdout  # by mistake
    assert score.count("note: target -0.05 is a value of error, which is minimized") == 1
    assert "if you mean 0.05, give --target 0.05" in score


def test_a_finished_run_goes_on_with_more(cli: CommandLine, run_dir: Path) -> None:
    before = programs(cli, run_dir)
    idle = cli("resume", run_dir)
    assert "Nothing was left to do" in idle.stderr
    assert "--evaluations 80" in idle.stderr
    told = cli.json("resume", run_dir, "--evaluations", 60)
    assert told["evaluations"] == 60
    assert programs(cli, run_dir)[: len(before)] == before


def test_kill_9_and_resume(cli: CommandLine, task: Path) -> None:
    process = cli.start("run", task, "--evaluations", 100, "--out", "killed")
    wait_for_line(process)
    time.sleep(0.5)
    process.kill()
    process.communicate(timeout=10)
    before = programs(cli, "killed")
    assert 1 <= len(before) < 100
    told = cli.json("resume", "killed")
    assert (told["evaluations"], told["stopped"]) == (100, "evaluations")
    after = programs(cli, "killed")
    assert after[: len(before)] == before
    assert len({row["id"] for row in after}) == len(after)
    assert database_files(cli.folder / "killed") == ["evolver.db"]


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(cli: CommandLine, task: Path) -> None:
    process = cli.start("run", task, "--evaluations", 5000, "--out", "stopped", "--json")
    assert process.stderr is not None
    process.stderr.readline()
    out, err = interrupt(process)
    assert process.returncode == 130
    assert "evolver resume" in err
    assert "Traceback" not in err
    told = json.loads(out.splitlines()[-1])
    assert told["stopped"] == "interrupted"
    assert database_files(cli.folder / "stopped") == ["evolver.db"]
    done = cli.json("resume", "stopped", "--evaluations", told["evaluations"] + 5)
    assert done["evaluations"] == told["evaluations"] + 5


def test_ctrl_c_while_the_front_is_measured_again(cli: CommandLine, make_task: MakeTask) -> None:
    slow = """
import time
from dataclasses import dataclass
from pathlib import Path

@dataclass(frozen=True)
class Slow:
    def evaluate(self, candidate):
        return {"error": abs(candidate.call("curve", 0.0) - 1.0)}

    def confirm(self, candidate):
        mark = Path(MARK)
        if not mark.exists():
            mark.touch()
            time.sleep(9)
        return self.evaluate(candidate)
"""
    mark = cli.folder / "confirming"
    task = make_task(
        toml=TASK_TOML.replace("score.py:score", "score.py:Slow"),
        score=slow.replace("MARK", repr(str(mark))),
    )
    process = cli.start("run", task, "--evaluations", 3, "--out", "cut")
    deadline = time.monotonic() + 60
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    _, err = interrupt(process)
    assert process.returncode == 130
    assert "evolver resume" in err
    told = cli.json("resume", "cut")
    assert (told["evaluations"], told["stopped"]) == (3, "evaluations")
    assert told["best_confirmed"]


def test_a_second_process_on_a_live_run_is_refused(cli: CommandLine, task: Path) -> None:
    process = cli.start("run", task, "--evaluations", 5000, "--out", "live")
    try:
        wait_for_line(process)
        assert "live" in cli.refuses("resume", "live")
        assert cli.json("show", "live")["evaluations"] >= 1  # reading is allowed
    finally:
        interrupt(process)


def test_deterministic_runs_are_the_same_on_one_worker_and_on_two(
    cli: CommandLine, task: Path
) -> None:
    cli.is_cold = True  # whatever the hash seeds are
    found = []
    for workers in (1, 2):
        out = f"workers-{workers}"
        words = ("--evaluations", 30, "--seed", 7, "--deterministic", "--workers", workers)
        cli("run", task, "--out", out, *words)
        records = [json.loads(line) for line in
                   cli("export", out, "--format", "jsonl").stdout.splitlines()]  # fmt: skip
        for record in records:
            del record["seconds"], record["memory"]
        found.append(records)
    assert found[0] == found[1]
    cli("run", task, "--out", "other", *words[:2], "--seed", 8, *words[4:])
    assert programs(cli, "other") != programs(cli, "workers-1")


def test_a_run_starts_from_another(cli: CommandLine, task: Path, run_dir: Path) -> None:
    best = cli.json("show", run_dir)["best_score"]
    told = cli.json("run", task, "--from", run_dir, "--evaluations", 4, "--out", "two")
    assert told["best_score"] >= best
    assert [row["operator"] for row in programs(cli, "two")].count("seed") == 2
    other = run_dir / "task" / "curve.py"
    other.write_text("# EVOLVE-BLOCK-START\n" + other.read_text() + "# EVOLVE-BLOCK-END\n")
    assert "do not fit this task" in cli.refuses("run", run_dir / "task", "--from", run_dir)


def test_looking_at_a_run(cli: CommandLine, run_dir: Path) -> None:
    shown = cli("show", run_dir).stdout
    assert "Best: error " in shown
    best = cli.json("best", run_dir)
    assert cli("best", run_dir).stdout == best["files"]["curve.py"]
    one = cli("show", run_dir, best["id"]).stdout
    assert f"program {best['id']} by mutate" in one
    assert "lineage: 0 -> " in one
    assert cli.json("show", run_dir, 0)["operator"] == "seed"
    changes = cli("diff", run_dir).stdout
    assert "-    return 0.5 + x" in changes
    assert cli("diff", run_dir, 0, 0).stdout == ""
    assert "no program 4000" in cli.refuses("show", run_dir, 4000)
    refused = cli("show", run_dir, 4000, "--json", code=2)
    assert "no program 4000" in json.loads(refused.stdout)["error"]


def test_the_best_under_a_condition(cli: CommandLine, run_dir: Path) -> None:
    seed = cli.json("show", run_dir, 0)["metrics"]["error"]
    worse = cli.json("best", run_dir, "--where", f"error >= {seed}")
    assert worse["metrics"]["error"] >= seed
    assert "no program with error < 0" in cli.refuses("best", run_dir, "--where", "error < 0")
    assert "did you mean 'error'" in cli.refuses("best", run_dir, "--where", "eror < 0")
    assert "no condition" in cli.refuses("best", run_dir, "--where", "error")


def test_exports_go_to_files_too(cli: CommandLine, run_dir: Path) -> None:
    cli("export", run_dir, "--format", "jsonl", "--out", "all.jsonl")
    lines = (cli.folder / "all.jsonl").read_text().splitlines()
    assert len(lines) == len(programs(cli, run_dir)) == 40
    assert "choose another --out" in cli.refuses("export", run_dir, "--out", "no/such/folder.csv")


def test_one_program_is_judged(cli: CommandLine, task: Path) -> None:
    told = cli.json("evaluate", task)
    assert set(told) >= {"status", "metrics", "objectives", "feedback", "seconds", "isolation"}
    assert told["status"] == "ok"
    assert told["objectives"] == [-told["metrics"]["error"]]
    better = cli.folder / "better.py"
    better.write_text("def curve(x):\n    return 2.0 ** x\n")
    assert cli.json("evaluate", task, "--program", better)["metrics"]["error"] < 1e-12
    assert "status      ok" in cli("evaluate", task, "--program", better).stdout
    better.write_text("def curve(x):\n    return 1 / 0\n")
    crashed = cli.json("evaluate", task, "--program", better)
    assert crashed["status"] == "crashed"
    assert "ZeroDivisionError" in crashed["feedback"]
    assert "does not exist" in cli.refuses("evaluate", task, "--program", "nowhere.py")


def test_a_program_that_leaves_its_regions_is_rejected(
    cli: CommandLine, make_task: MakeTask
) -> None:
    marked = "# EVOLVE-BLOCK-START\ndef curve(x):\n    return x\n# EVOLVE-BLOCK-END\nN = 1\n"
    task = make_task(program=marked)
    (cli.folder / "other.py").write_text(marked.replace("N = 1", "N = 2"))
    told = cli.json("evaluate", task, "--program", "other.py")
    assert told["status"] == "rejected"
    assert "outside the editable regions" in told["feedback"]


def test_prompts_are_shown_without_a_model(
    cli: CommandLine, make_task: MakeTask, run_dir: Path
) -> None:
    diffs = make_task(toml=TASK_TOML.replace('"mutate"', '"diff"'))
    shown = cli("prompt", diffs).stdout
    assert "--- system ---" in shown
    assert "Approximate 2**x" in shown
    assert "return 0.5 + x" in shown
    assert "add [[operator]]" in cli.refuses("prompt", run_dir / "task")


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(cli: CommandLine, task: Path) -> Path:
    git(cli.folder, "init", "--quiet", "--initial-branch", "main")
    git(cli.folder, "config", "user.name", "A User")
    git(cli.folder, "config", "user.email", "user@example.org")
    git(cli.folder, "add", "curve")
    git(cli.folder, "commit", "--quiet", "--message", "the task")
    return cli.folder


def test_the_winner_goes_to_a_branch(cli: CommandLine, repository: Path, task: Path) -> None:
    told = cli.json("run", task, "--evaluations", 60, "--seed", 3, "--out", "one")
    assert cli.json("show", "one")["repository"]["commit"] == git(repository, "rev-parse", "main")
    status = git(repository, "status", "--porcelain")
    cli("apply", "one", "--branch", "better")
    assert git(repository, "status", "--porcelain") == status
    assert git(repository, "branch", "--show-current") == "main"
    source = cli("best", "one").stdout
    assert git(repository, "show", "better:curve/curve.py") + "\n" == source
    assert git(repository, "log", "--format=%s", "main..better").startswith("evolver: error ")
    cli("apply", "one", "--branch", "steps", "--lineage")
    lineage = cli.json("show", "one", told["best_program"])["lineage"]
    commits = git(repository, "log", "--format=%h", "main..steps").splitlines()
    assert 1 <= len(commits) <= len(lineage) - 1
    assert git(repository, "rev-parse", "steps^{tree}") == git(
        repository, "rev-parse", "better^{tree}"
    )
    assert "exists already" in cli.refuses("apply", "one", "--branch", "better")


def test_a_winner_without_a_repository(cli: CommandLine, run_dir: Path) -> None:
    assert "is not in a git repository" in cli.refuses("apply", run_dir)


def test_no_color_leaves_the_colours_out_on_a_terminal(cli: CommandLine, run_dir: Path) -> None:
    def shown(**more: str) -> bytes:
        ours, terminal = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "evolver", "show", str(run_dir), "0"],
            env={**cli.environment, "TERM": "xterm-256color", **more},
            stdin=terminal,
            stdout=terminal,
        )
        os.close(terminal)
        written = b""
        with contextlib.suppress(OSError):  # the terminal's end
            while piece := os.read(ours, 1 << 16):
                written += piece
        os.close(ours)
        assert process.wait(timeout=30) == 0
        return written

    colour = re.compile(rb"\x1b\[[0-9;]*3[0-9]")
    assert colour.search(shown())
    assert not colour.search(shown(NO_COLOR="1"))
