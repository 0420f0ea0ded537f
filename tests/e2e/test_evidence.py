"""A noisy evaluator through the real command line: what is announced, applied, and kept."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from command_line import CommandLine, MakeTask

pytestmark = pytest.mark.slow

# The noise of a measurement hangs on its secret inputs and on the program, as that of times does.
NOISE = """
import hashlib
import random

def score(candidate):
    points = [candidate.call("curve", x) for x in (0.0, 0.3, 0.7, 1.0)]
    error = sum(abs(y - 2.0**x) for x, y in zip((0.0, 0.3, 0.7, 1.0), points))
    own = hashlib.sha256(candidate.files["curve.py"]).hexdigest()
    noise = random.Random(f"{candidate.rng.random()} {own}").gauss(0.0, SPREAD)
    return {"error": WORTH + noise}
"""
# What the program does is nothing to the score: the best is a lucky draw.
IDLE = NOISE.replace("WORTH", "5.0 + 0.0 * error").replace("SPREAD", "1.0")
TRUE = NOISE.replace("WORTH", "10.0 * error").replace("SPREAD", "0.3")


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def committed(cli: CommandLine, *added: str) -> Path:
    git(cli.folder, "init", "--quiet", "--initial-branch", "main")
    git(cli.folder, "config", "user.name", "A User")
    git(cli.folder, "config", "user.email", "user@example.org")
    git(cli.folder, "add", *added)
    git(cli.folder, "commit", "--quiet", "--message", "the task")
    return cli.folder


def test_a_lucky_draw_is_neither_announced_nor_applied(
    cli: CommandLine, make_task: MakeTask
) -> None:
    make_task(score=IDLE)
    root = committed(cli, "curve")
    # One seed of twenty may claim something.
    words = ("--evaluations", 60, "--seed", 1, "--deterministic", "--out", "one", "--json")
    done = cli("run", "curve", *words)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["established"] is False
    assert told["search_score"] > told["best_score"]
    assert told["search_metrics"]["error"] < told["best_metrics"]["error"] == told["best_value"]
    low, high = told["interval"]
    assert low < told["best_value"] < high
    assert told["n"] >= 5
    assert 3 < told["seed_metrics"]["error"] < 7
    assert "no better within the noise" in done.stderr
    for said in (
        cli("show", "one").stdout,
        (cli.folder / "one" / "run.log").read_text("utf-8"),
        (cli.folder / "one" / "report.html").read_text("utf-8"),
    ):
        assert "no better within the noise" in said
    assert "not established to be better than the seed" in cli.refuses("apply", "one")
    assert git(root, "branch", "--format=%(refname:short)") == "main"
    cli("apply", "one", "--anyway", "--branch", "any")
    message = git(root, "log", "-1", "--format=%B", "any")
    assert "no better than the seed within the noise" in message
    assert "Applied anyway" in message
    assert "same programs, scores and order" in cli("replay", "one").stdout


def test_a_true_gain_is_confirmed_announced_and_applied(
    cli: CommandLine, make_task: MakeTask
) -> None:
    task = make_task(score=TRUE)
    toml = (task / "task.toml").read_text().replace("[objective]", "[objective]\nrepeats = 9")
    (task / "task.toml").write_text(toml)
    root = committed(cli, "curve")
    told = cli.json("run", "curve", "--evaluations", 60, "--out", "one")
    assert (told["established"], told["n"]) == (True, 9)
    assert "better, n = 9 fresh inputs" in cli("show", "one").stdout
    cli("apply", "one", "--branch", "better")
    message = git(root, "log", "-1", "--format=%B", "better")
    assert message.startswith(f"evolver: error {told['seed_metrics']['error']:.6g} -> ")
    assert "Confirmed on 9 fresh inputs: better than the seed" in message
    cli("apply", "one", "--branch", "steps", "--lineage")
    # The runner-up is confirmed too, and may be an ancestor of the best.
    with closing(sqlite3.connect(cli.folder / "one" / "evolver.db")) as opened:
        query = "SELECT DISTINCT program FROM evaluations WHERE purpose = 'confirmation'"
        confirmed = {program for (program,) in opened.execute(query)}
    assert {0, told["best_program"]} < confirmed
    for body in git(root, "log", "--format=%B%x00", "main..steps").split("\0")[:-1]:
        (ends,) = re.findall(r"^Program (\d+) by .* from program (\d+);", body, re.MULTILINE)
        assert ("-> " in body.strip().splitlines()[0]) == (set(map(int, ends)) <= confirmed)
    # A fork at the end knows what was confirmed; a replay of it too.
    forked = cli.json("fork", "one", "--evaluations", 60, "--out", "two")
    assert forked["best_score"] == told["best_score"]
    assert "same programs, scores and order" in cli("replay", "two").stdout


def test_kill_9_in_the_middle_of_a_confirmation(cli: CommandLine, make_task: MakeTask) -> None:
    slow = IDLE.replace("    error =", "    __import__('time').sleep(0.05)\n    error =")
    make_task(score=slow)
    process = cli.start("run", "curve", "--evaluations", 8, "--out", "one", "--workers", 1)
    database = cli.folder / "one" / "evolver.db"

    def made() -> list[tuple[object, ...]]:
        query = (
            "SELECT program, round, repeat, metrics FROM evaluations "
            "WHERE purpose = 'confirmation' ORDER BY rowid"
        )
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
            return opened.execute(query).fetchall()

    deadline = time.monotonic() + 100
    while not (database.exists() and len(made()) >= 4):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    before = made()
    assert "not confirmed" in cli("show", "one").stdout
    told = cli.json("resume", "one")
    after = made()
    assert after[: len(before)] == before
    assert len({row[:3] for row in after}) == len(after) > len(before)
    assert told["best_confirmed"]
    assert "same programs, scores and order" in cli("replay", "one").stdout


def test_a_run_is_as_it_was_where_a_further_measurement_is_cut_short(
    cli: CommandLine, make_task: MakeTask
) -> None:
    slow = cli.folder / "slow"
    sleep = (
        f"    import os, time\n    time.sleep(1000 * os.path.exists({str(slow)!r}))\n    error ="
    )
    make_task(score=TRUE.replace("    error =", sleep).replace("0.3)", "0.0)"))
    committed(cli, "curve")
    told = cli.json("run", "curve", "--evaluations", 20, "--skip-gate", "--out", "one")
    rows = map(json.loads, cli("export", "one", "--format", "jsonl").stdout.splitlines())
    other = next(
        row["id"]
        for row in rows
        if row["status"] == "ok" and row["id"] not in (0, told["best_program"])
    )
    slow.touch()
    process = cli.start("apply", "one", "--program", other)

    def has_planned() -> bool:
        with closing(sqlite3.connect(cli.folder / "one" / "evolver.db")) as opened:
            asked = opened.execute("SELECT count(*) FROM rounds WHERE asked IS NOT NULL").fetchone()
        return bool(asked[0])

    deadline = time.monotonic() + 60
    while not has_planned():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert "interrupted before the program was measured again" in said
    assert cli.json("show", "one")["stopped"] == told["stopped"] == "evaluations"


def test_an_older_run_is_shown_and_confirmed_before_it_is_applied(cli: CommandLine) -> None:
    recorded = Path(__file__).parents[1] / "data" / "recorded" / "rules-1"
    shutil.copytree(recorded, cli.folder / "old")
    shown = cli("show", "old").stdout
    assert "Best: hypervolume " in shown
    assert "measured again: exactly the same" in shown
    score = cli.json("show", "old")["best_score"]
    shutil.copytree(cli.folder / "old" / "task", cli.folder / "examples" / "exp2")
    root = committed(cli, "examples")
    cli("apply", "old")
    assert git(root, "log", "-1", "--format=%s", "evolver/old").startswith("evolver: digits ")
    told = cli.json("show", "old")
    assert told["established"] is True
    assert told["best_score"] == score
    assert "confirmed: the same on fresh inputs" in cli("show", "old").stdout
    assert cli.json("replay", "old")["same"]
