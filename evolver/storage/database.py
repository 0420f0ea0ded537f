"""Find, open, copy and lock the database of a run."""

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
LOCK = "lock"  # contains the id of the process that writes


def find_database(directory: Path) -> Path:
    """Return the path of a run's database.

    Raises:
        UsageError: the directory has none.
    """
    path = directory / DATABASE
    if not path.is_file():
        raise UsageError(f"{directory} holds no run (no {DATABASE} in it); give a run's directory")
    return path


def connect(path: Path) -> sqlite3.Connection:
    """Open a database for writing. A commit survives a kill, but not always a power cut."""
    database = sqlite3.connect(path.absolute(), timeout=10)  # "file:..." would be a URI
    database.execute("PRAGMA synchronous = NORMAL")
    return database


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open an existing database for reading only."""
    mode = "immutable=1" if _is_at_rest(path) else "mode=ro"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=10)


def _is_at_rest(path: Path) -> bool:
    """Tell whether a database lies in a read-only folder and was closed by its writer.

    SQLite would create the two files of a database in use there, unless it is told that the
    database does not change.
    """
    at_work = (path.with_name(f"{path.name}{ending}") for ending in ("-wal", "-shm"))
    return not os.access(path.parent, os.W_OK) and not any(file.exists() for file in at_work)


def begin_log(database: sqlite3.Connection) -> None:
    """Switch to a write-ahead log (WAL), so that others can read while this process writes."""
    database.execute("PRAGMA journal_mode = WAL")


def end_log(database: sqlite3.Connection) -> None:
    """Move the write-ahead log into the database, and leave the mode in which it has one.

    A reader of a database in that mode creates the log's files, and cannot remove them. If another
    process reads at this moment, SQLite refuses, and the log stays until the next session ends.
    """
    with contextlib.suppress(sqlite3.OperationalError):
        database.execute("PRAGMA journal_mode = DELETE")


def copy(directory: Path, target: str) -> sqlite3.Connection:
    """Copy the database of a run, which another process may be writing, and migrate the copy.

    Args:
        directory: of the run.
        target: path of the copy, or ":memory:".

    Raises:
        UsageError: the directory has no run, or its database is damaged.
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
    """Lock the directory against a second writer for as long as the returned file is open.

    Raises:
        UsageError: another process holds the lock.
    """
    file = (directory / LOCK).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise UsageError(
            f"{directory} is being written by process {owner}; wait for it, or stop it first"
        ) from None
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file


def bring_up_to_date(directory: Path) -> None:
    """Migrate the database of a run.

    Raises:
        UsageError: another process writes it, or it is read-only.
    """
    try:
        with lock(directory), contextlib.closing(connect(directory / DATABASE)) as database:
            migrate(database)
            end_log(database)
    except (OSError, sqlite3.OperationalError) as error:
        raise UsageError(
            f"{directory} was written by an older evolver and cannot be migrated ({error}); "
            "make it writable, or copy it"
        ) from error


def check_integrity(database: sqlite3.Connection, directory: Path) -> None:
    """Check the whole database for damage.

    Raises:
        UsageError: SQLite finds damage.
    """
    (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise damaged(directory, verdict)


def damaged(directory: Path, reason: object) -> UsageError:
    """Return the error for a damaged database: one line, with the command that helps."""
    told = " ".join(str(reason).split())
    return UsageError(
        f"the database of {directory} is damaged ({told}); "
        f"'{shell('evolver', 'doctor', directory)}' says what can be recovered"
    )
