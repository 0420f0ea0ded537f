"""Record the run of today's rules in tests/data/recorded anew, after a change that is meant.

Those of older rules stay as they are: they show that older runs still open.

Two sessions of examples/exp2 by the real command line, against the tests' server as the model.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from llm_server import LLMServer, nudge_a_constant, with_faults

from evolver.search import rules

ROOT = Path(__file__).resolve().parents[1]
RECORDED = ROOT / "tests" / "data" / "recorded" / f"rules-{rules.CURRENT}"
KEPT = ("evolver.db", "settings.json")


def evolver(*words: object) -> None:
    """Run a command."""
    subprocess.run([sys.executable, "-m", "evolver", *map(str, words)], cwd=ROOT, check=True)


def record(run: Path) -> None:
    """Let a run be: some of the model's answers are slips, as models make them."""
    with LLMServer(with_faults(nudge_a_constant, malformed=0.3)) as server:
        model = ("--model", "the-tests-server", "--api-base", server.address)
        evolver("run", "examples/exp2", *model, "--evaluations", 22, "--seed", 1, "--out", run)
        evolver("resume", run, "--evaluations", 36)


def keep(run: Path) -> None:
    """Keep what a replay reads, without the names of this machine's folders."""
    with closing(sqlite3.connect(run / "evolver.db")) as database:
        for name, value in (("source", "examples/exp2"), ("repository", None)):
            database.execute("UPDATE facts SET value = ? WHERE name = ?", (json.dumps(value), name))
        database.commit()
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA page_size = 1024")  # a third of the size with pages of 4096
        database.execute("VACUUM")
    RECORDED.mkdir(exist_ok=True)
    for name in KEPT:
        shutil.copyfile(run / name, RECORDED / name)
    shutil.rmtree(RECORDED / "task", ignore_errors=True)
    shutil.copytree(
        run / "task", RECORDED / "task", ignore=shutil.ignore_patterns("best", "measured.json")
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder) / "run")
        keep(Path(folder) / "run")
