"""Recover a run whose database is damaged.

Rows are read one by one, and unreadable ones are skipped. An outcome is recovered only with its
program, its evaluation and all their contents. What is recovered is written as a new run.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from evolver.errors import UsageError
from evolver.storage import rows
from evolver.storage.copies import make_writable
from evolver.storage.database import DATABASE, connect, find_database
from evolver.storage.schema import MIGRATIONS, migrate

_LARGEST = 64 * 2**30  # bytes: a header that gives a larger size is not believed
_GAP = 4096  # unreadable row ids in a row after which the rest of a table is skipped

_TABLES = (
    "facts", "sessions", "contents", "attempts", "requests", "completions", "failures",
    "outcomes", "programs", "evaluations", "stops", "preflights", "rounds", "closings",
)  # fmt: skip


@dataclass(frozen=True)
class Recovery:
    """What can be read of a database.

    Attributes:
        rows: table -> readable rows.
        damage: what SQLite found wrong; "" if the database is whole.
        version: number of migrations that the database has been through.
    """

    rows: dict[str, list[sqlite3.Row]]
    damage: str
    version: int = len(MIGRATIONS)

    @property
    def outcomes(self) -> list[sqlite3.Row]:
        """The complete outcomes, in commit order."""
        contents = {row["hash"] for row in self.rows["contents"]}
        evaluated = {
            row["program"]
            for row in self.rows["evaluations"]
            if row["purpose"] == "score" and _hashes(row["artifacts"]) <= contents
        }
        attempts = {row["id"] for row in self.rows["attempts"]}
        programs = {
            row["id"]
            for row in self.rows["programs"]
            if row["id"] in evaluated and _hashes(row["files"]) <= contents
        }
        return [
            row
            for row in sorted(self.rows["outcomes"], key=lambda row: row["sequence"])
            if row["attempt"] in attempts
            and (row["proposed"] is None or _hashes(row["proposed"]) <= contents)
            and (row["verdict"] != "evaluated" or row["attempt"] in programs)
        ]

    @property
    def resumable(self) -> bool:
        """Whether the facts and the seed are readable, so that a run can go on from them."""
        seed = any(row["attempt"] == 0 for row in self.outcomes)
        return seed and {"task", "seeds"} <= {row["name"] for row in self.rows["facts"]}


def _hashes(files: str) -> set[str]:
    """Return the hashes in a stored mapping of files."""
    try:
        return set(json.loads(files).values())
    except (TypeError, ValueError, AttributeError):
        return {""}  # damaged: a hash that no content has


def examine(directory: Path) -> Recovery:
    """Read every readable row of a run's database.

    Raises:
        UsageError: the directory has no database.
    """
    with tempfile.TemporaryDirectory(prefix="evolver-") as folder:
        return _examine(_padded_copy(find_database(directory), Path(folder)))


def _padded_copy(path: Path, folder: Path) -> Path:
    """Copy a database with its log, and pad it to the length in its header if it was cut off.

    SQLite refuses a file that is shorter than its header says.
    """
    for suffix in ("", "-wal"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            shutil.copyfile(source, folder / source.name)
    copy = folder / path.name
    header = copy.read_bytes()[:32]
    if header.startswith(b"SQLite format 3"):
        page = int.from_bytes(header[16:18], "big")
        size = (65536 if page == 1 else page) * int.from_bytes(header[28:32], "big")
        if copy.stat().st_size < size < _LARGEST:
            os.truncate(copy, size)
    return copy


def _examine(path: Path) -> Recovery:
    database = sqlite3.connect(path, timeout=10)  # without settings, which a damaged one may refuse
    database.row_factory = sqlite3.Row
    try:
        try:
            verdict = str(database.execute("PRAGMA quick_check(3)").fetchone()[0])
        except sqlite3.DatabaseError as error:
            verdict = str(error)
        version = _version(database)
        rows = {table: list(_readable(database, table)) for table in _TABLES}
    finally:
        database.close()
    if verdict == "ok" and not rows["facts"]:
        verdict = "it is empty"
    return Recovery(rows, "" if verdict == "ok" else " ".join(verdict.split()), version)


def _version(database: sqlite3.Connection) -> int:
    """Return the number of migrations of a database; all of them if its header is damaged."""
    try:
        (done,) = database.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError:
        done = 0
    return done if 0 < done <= len(MIGRATIONS) else len(MIGRATIONS)


def _readable(database: sqlite3.Connection, table: str) -> Iterator[sqlite3.Row]:
    """Yield the readable rows; skip the ids of others."""
    position, gap = -1, 0
    query = f"SELECT rowid AS position, * FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT 1"
    while gap < _GAP:
        try:
            row = database.execute(query, (position,)).fetchone()
        except sqlite3.DatabaseError:
            position, gap = position + 1, gap + 1
            continue
        if row is None:
            return
        if not isinstance(row["position"], int) or row["position"] <= position:
            position, gap = position + 1, gap + 1  # a page of no table
            continue
        position, gap = row["position"], 0
        yield row


def recover(directory: Path, out: Path) -> Recovery:
    """Write what can be read as a new run, which can be resumed.

    Raises:
        UsageError: too little is readable, or `out` exists.
    """
    found = examine(directory)
    if not found.resumable:
        raise UsageError(
            f"too little of {directory} is readable to go on with it; "
            f"start again from its task in {directory / 'task'}"
        )
    if out.exists():
        raise UsageError(f"{out} exists already; choose another directory")
    shutil.copytree(
        directory, out, symlinks=True, ignore=lambda _f, names: [n for n in names if n == "lock"
                                                                or n.startswith(DATABASE)]
    )  # fmt: skip
    make_writable(out)
    database = connect(out / DATABASE)
    migrate(database, found.version)  # the tables that the rows come from
    outcomes = found.outcomes
    attempts = {row["attempt"] for row in outcomes}
    rounds = {0} | {  # 0: measurements without a round
        row["number"]
        for row in found.rows["rounds"]
        if set(json.loads(row["programs"])) <= attempts
    }
    keep: dict[str, Callable[[sqlite3.Row], bool]] = {
        "attempts": lambda row: row["id"] in attempts,
        "programs": lambda row: row["id"] in attempts,
        "evaluations": lambda row: row["program"] in attempts and _round_of(row) in rounds,
        "rounds": lambda row: row["number"] in rounds,
        "closings": lambda row: row["round"] in rounds,
    }
    for table in _TABLES:
        whole = outcomes if table == "outcomes" else filter(keep.get(table), found.rows[table])
        for row in whole:
            rows.insert(database, table, _columns(row), or_ignore=True)
    database.commit()
    migrate(database)
    database.close()
    return found


def _round_of(evaluation: sqlite3.Row) -> int:
    """Return the round of an evaluation, or 0; older tables have no rounds."""
    return int(evaluation["round"]) if "round" in evaluation.keys() else 0  # noqa: SIM118


def _columns(row: sqlite3.Row) -> rows.Row:
    """Return the columns of a row, without the position that `_readable` adds."""
    return {name: row[name] for name in row.keys() if name != "position"}  # noqa: SIM118
