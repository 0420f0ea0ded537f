"""Copies of a run's facts that leave some out: what a replay answers from, how a fork begins."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evolver.errors import UsageError
from evolver.storage import rows
from evolver.storage.database import DATABASE, copy

# What hangs on an attempt, and by which column.
_BY_ATTEMPT = {
    "attempts": "id",
    "preflights": "attempt",
    "programs": "id",
    "evaluations": "program",
}
# What other attempts may share.
_BY_LEADER = ("completions", "requests")
_NAMED = """
    SELECT named.value FROM programs, json_each(programs.files) AS named
    UNION SELECT named.value FROM outcomes, json_each(outcomes.proposed) AS named
    UNION SELECT named.value FROM evaluations, json_each(evaluations.artifacts) AS named
    UNION SELECT named.value FROM requests, json_each(requests.prompt) AS named
"""


def recorded_answers(directory: Path) -> sqlite3.Connection:
    """Return what was asked and answered in a run, in memory: as if nothing had been decided yet.

    Raises:
        UsageError: no run is there, or it is damaged.
    """
    database = copy(directory, ":memory:")
    for table in ("outcomes", "attempts", "programs", "evaluations", "rounds", "closings"):
        database.execute(f"DELETE FROM {table}")
    database.commit()
    return database


def write_fork(directory: Path, finished: int, out: Path, facts: Mapping[str, Any]) -> None:
    """Write the facts of a run as they were after its first `finished` attempts, as another run's.

    What was in flight then is left behind, with all that it bought.

    Args:
        directory: of the run.
        finished: attempts in commit order.
        out: directory of the other run.
        facts: are added; those of the same names are replaced.

    Raises:
        UsageError: no run is there, it is damaged, or it has fewer attempts.
    """
    with contextlib.closing(copy(directory, str((out / DATABASE).absolute()))) as database:
        (had,) = database.execute("SELECT count(*) FROM outcomes").fetchone()
        if had < finished:
            raise UsageError(
                f"{directory} has {had} finished attempts; give --at a number from 1 to {had}"
            )
        _cut(database, finished)
        for name, value in facts.items():
            database.execute("DELETE FROM facts WHERE name = ?", (name,))
            rows.insert(database, "facts", rows.fact_row(name, value))
        database.commit()
        database.execute("VACUUM")


def _cut(database: sqlite3.Connection, finished: int) -> None:
    database.execute(
        "DELETE FROM outcomes WHERE sequence NOT IN "
        "(SELECT sequence FROM outcomes ORDER BY sequence LIMIT ?)",
        (finished,),
    )
    for table, column in _BY_ATTEMPT.items():
        database.execute(
            f"DELETE FROM {table} WHERE {column} NOT IN (SELECT attempt FROM outcomes)"
        )
    for table in _BY_LEADER:
        database.execute(
            f"DELETE FROM {table} WHERE attempt NOT IN (SELECT id FROM attempts) AND attempt "
            "NOT IN (SELECT leader FROM attempts WHERE leader IS NOT NULL)"
        )
    database.execute(
        "DELETE FROM evaluations WHERE purpose = 'confirmation' AND seen > ?", (finished,)
    )
    # A round that was not closed then counts for nothing yet, and is planned anew.
    database.execute("DELETE FROM closings WHERE seen > ?", (finished,))
    database.execute("DELETE FROM rounds WHERE number NOT IN (SELECT round FROM closings)")
    database.execute(
        "DELETE FROM evaluations WHERE round > 0 AND round NOT IN (SELECT number FROM rounds)"
    )
    # Those of the very end come before whatever the other run begins.
    for table in ("evaluations", "closings"):
        database.execute(f"UPDATE {table} SET begun = 0 WHERE seen = ?", (finished,))
    database.execute("DELETE FROM failures WHERE request NOT IN (SELECT id FROM requests)")
    database.execute(f"DELETE FROM contents WHERE hash NOT IN ({_NAMED})")
    last = (
        "(SELECT coalesce(max(session), 0) FROM "
        "(SELECT session FROM outcomes UNION SELECT session FROM closings))"
    )
    database.execute(f"DELETE FROM sessions WHERE id > {last}")
    database.execute(f"DELETE FROM stops WHERE session >= {last}")
