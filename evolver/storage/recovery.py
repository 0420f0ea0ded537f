"""What can be had back of a run whose database is damaged.

Rows are read one by one, the unreadable ones passed over, and what is whole is written as a new
run: an outcome with its program, its evaluation and all their contents, or not at all.
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
from evolver.storage.database import DATABASE, connect, find_database
from evolver.storage.schema import MIGRATIONS, migrate

_LARGEST = 64 * 2**30  # bytes: what a header may ask for
_GAP = 4096  # row ids without a readable row before the rest of a table is given up

_TABLES = (
    "facts", "sessions", "contents", "attempts", "requests", "completions", "failures",
    "outcomes", "programs", "evaluations", "stops", "preflights", "rounds", "closings",
)  # fmt: skip


@dataclass(frozen=True)
class Recovery:
    """What is whole in a database.

    Attributes:
        rows: table -> readable rows.
        damage: what SQLite says is wrong; "" where nothing is.
        version: how many migrations the database has been through.
    """

    rows: dict[str, list[sqlite3.Row]]
    damage: str
    version: int = len(MIGRATIONS)

    @property
    def outcomes(self) -> list[sqlite3.Row]:
        """The outcomes that nothing is missing of, in commit order."""
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
        """Whether a run can be made of it that goes on: its facts and its seed are there."""
        seed = any(row["attempt"] == 0 for row in self.outcomes)
        return seed and {"task", "seeds"} <= {row["name"] for row in self.rows["facts"]}


def _hashes(files: str) -> set[str]:
    """Return the hashes of the contents that a stored mapping of files names."""
    try:
        return set(json.loads(files).values())
    except (TypeError, ValueError, AttributeError):
        return {""}  # torn: it names what nobody has


def examine(directory: Path) -> Recovery:
    """Read all that can be read of a run's database.

    Raises:
        UsageError: there is no database at all.
    """
    with tempfile.TemporaryDirectory(prefix="evolver-") as folder:
        return _examine(_padded_copy(find_database(directory), Path(folder)))


def _padded_copy(path: Path, folder: Path) -> Path:
    """Copy a database with its log, and give back the length it had before it was cut off.

    SQLite refuses a file that is shorter than its header says, however much of it is whole.
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
    database = sqlite3.connect(path, timeout=10)  # as it is: a damaged one takes no settings
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
    """Return how many migrations a database has been through; all, where its header is torn."""
    try:
        (done,) = database.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError:
        done = 0
    return done if 0 < done <= len(MIGRATIONS) else len(MIGRATIONS)


def _readable(database: sqlite3.Connection, table: str) -> Iterator[sqlite3.Row]:
    """Yield the rows that can be read, walking over the row ids of those that cannot."""
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
            position, gap = position + 1, gap + 1  # a page that belongs to nobody
            continue
        position, gap = row["position"], 0
        yield row


def recover(directory: Path, out: Path) -> Recovery:
    """Write what is whole as a new run, which can be resumed.

    Raises:
        UsageError: too little is left, or `out` is there already.
    """
    found = examine(directory)
    if not found.resumable:
        raise UsageError(
            f"too little of {directory} can be read to go on with it; "
            f"its task is still in {directory / 'task'}"
        )
    if out.exists():
        raise UsageError(f"{out} is there already; choose another directory")
    shutil.copytree(
        directory, out, symlinks=True, ignore=lambda _f, names: [n for n in names if n == "lock"
                                                                or n.startswith(DATABASE)]
    )  # fmt: skip
    database = connect(out / DATABASE)
    migrate(database, found.version)  # the tables that the rows were in
    outcomes = found.outcomes
    attempts = {row["attempt"] for row in outcomes}
    rounds = {0} | {  # 0: of what is in no round
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
    """Return the round of an evaluation; 0 for none, as in tables before there were any."""
    return int(evaluation["round"]) if "round" in evaluation.keys() else 0  # noqa: SIM118


def _columns(row: sqlite3.Row) -> rows.Row:
    """Return the columns of a row as it is in its table."""
    return {name: row[name] for name in row.keys() if name != "position"}  # noqa: SIM118
