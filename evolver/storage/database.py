"""The file that a run's facts lie in: found, opened, locked, and told when it is damaged."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from pathlib import Path
from typing import IO

from evolver.errors import UsageError
from evolver.storage.schema import migrate
from evolver.wording import shell

DATABASE = "evolver.db"
LOCK = "lock"  # holds the number of the process that writes


def find_database(directory: Path) -> Path:
    """Return the path of a run's database.

    Raises:
        UsageError: there is none.
    """
    path = directory / DATABASE
    if not path.is_file():
        raise UsageError(f"{directory} holds no run (no {DATABASE} in it)")
    return path


def connect(path: Path) -> sqlite3.Connection:
    """Open a database for writing: what is committed survives a kill, not always a power cut."""
    database = sqlite3.connect(path.absolute(), timeout=10)  # a name may begin with "file:"
    database.execute("PRAGMA synchronous = NORMAL")
    return database


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a database that nothing is written to; it must exist."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)


def begin_log(database: sqlite3.Connection) -> None:
    """Write to a log (WAL) from here on, so that others can read at the same time."""
    database.execute("PRAGMA journal_mode = WAL")


def end_log(database: sqlite3.Connection) -> None:
    """Move what is in the log into the database, and remove the log.

    Readers create a log's files anew for a database that wants one, and cannot remove them. So a
    database that is at rest wants none. Where another process reads at this moment, the log stays
    for the next session.
    """
    with contextlib.suppress(sqlite3.OperationalError):
        database.execute("PRAGMA journal_mode = DELETE")


def copy(directory: Path, target: str) -> sqlite3.Connection:
    """Copy a run's database, also of one that another process writes, and bring it up to date.

    Args:
        directory: of the run.
        target: path of the copy, or ":memory:".

    Raises:
        UsageError: no run is there, or it is damaged.
    """
    path = find_database(directory)
    database = sqlite3.connect(target)
    try:
        with contextlib.closing(connect_to_read(path)) as source:
            source.backup(database)
        migrate(database)
    except sqlite3.DatabaseError as error:
        database.close()
        raise damaged(directory, error) from error
    return database


def lock(directory: Path) -> IO[str]:
    """Hold the directory against a second writer for as long as the file stays open."""
    file = (directory / LOCK).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise UsageError(
            f"{directory} is being written by process {owner}; wait for it or stop it first"
        ) from None
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file


def bring_up_to_date(directory: Path) -> None:
    """Migrate a run's database, unless another process is at work on it."""
    try:
        with lock(directory), contextlib.closing(connect(directory / DATABASE)) as database:
            migrate(database)
            end_log(database)
    except (OSError, sqlite3.OperationalError) as error:
        raise UsageError(
            f"an older evolver wrote {directory}, and it cannot be brought up to date ({error}); "
            "make it writable, or copy it"
        ) from error


def check_integrity(database: sqlite3.Connection, directory: Path) -> None:
    """Read the whole database once.

    Raises:
        UsageError: SQLite found damage.
    """
    (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise damaged(directory, verdict)


def damaged(directory: Path, reason: object) -> UsageError:
    """Return the error that says so, in one line, and what to do."""
    told = " ".join(str(reason).split())
    return UsageError(
        f"the database of {directory} is damaged ({told}); "
        f"'{shell('evolver', 'doctor', directory)}' says what can be had back"
    )
