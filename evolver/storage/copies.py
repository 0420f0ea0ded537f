"""Copy a part of a run's facts: the answers that a replay uses, or what a fork begins with."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evolver.errors import UsageError
from evolver.storage import rows
from evolver.storage.database import DATABASE, copy

# Tables with rows of single attempts, and the column with the attempt's number.
_BY_ATTEMPT = {
    "attempts": "id",
    "preflights": "attempt",
    "programs": "id",
    "evaluations": "program",
}
# Tables whose rows several attempts may share.
_BY_LEADER = ("completions", "requests")
_NAMED = """
    SELECT named.value FROM programs, json_each(programs.files) AS named
    UNION SELECT named.value FROM outcomes, json_each(outcomes.proposed) AS named
    UNION SELECT named.value FROM evaluations, json_each(evaluations.artifacts) AS named
    UNION SELECT named.value FROM requests, json_each(requests.prompt) AS named
"""


def make_writable(folder: Path) -> None:
    """Let the owner of a copied folder write into it, where the original is read-only."""
    for place, _, names in os.walk(folder):
        for path in (Path(place), *(Path(place, name) for name in names)):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IWUSR)


def recorded_answers(directory: Path) -> sqlite3.Connection:
    """Copy a run into memory without its decisions and results: requests and answers are left.

    Raises:
        UsageError: the directory has no run, or its database is damaged.
    """
    database = copy(directory, ":memory:")
    for table in ("outcomes", "attempts", "programs", "evaluations", "rounds", "closings"):
        database.execute(f"DELETE FROM {table}")
    database.commit()
    return database


def write_fork(directory: Path, finished: int, out: Path, facts: Mapping[str, Any]) -> None:
    """Write the facts that a run had after its first `finished` attempts, as those of a new run.

    Attempts that were in flight then are left out, with all that they paid for.

    Args:
        directory: of the run.
        finished: number of attempts, in commit order.
        out: directory of the new run.
        facts: added to the run's own facts; they replace those of the same name.

    Raises:
        UsageError: the directory has no run, it is damaged, or it has fewer attempts.
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
    # A round that was open then is planned again.
    database.execute("DELETE FROM closings WHERE seen > ?", (finished,))
    database.execute("DELETE FROM rounds WHERE number NOT IN (SELECT round FROM closings)")
    database.execute(
        "DELETE FROM evaluations WHERE round > 0 AND round NOT IN (SELECT number FROM rounds)"
    )
    # Confirmations of the last moment come before the first attempt of the new run.
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
