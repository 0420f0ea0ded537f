"""The tables of a run's database, and how an older one becomes a newer one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from evolver.errors import UsageError


def _first_tables(database: sqlite3.Connection) -> None:
    database.executescript(
        """
        CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
        CREATE TABLE sessions (
            id INTEGER PRIMARY KEY, started REAL NOT NULL, version TEXT NOT NULL) STRICT;
        CREATE TABLE contents (hash TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT;
        CREATE TABLE attempts (
            id INTEGER PRIMARY KEY, session INTEGER NOT NULL, started REAL NOT NULL,
            seen INTEGER NOT NULL, operator TEXT NOT NULL, island INTEGER NOT NULL,
            parent INTEGER, inspirations TEXT NOT NULL, reserved INTEGER NOT NULL) STRICT;
        CREATE TABLE completions (
            attempt INTEGER NOT NULL, call INTEGER NOT NULL, session INTEGER NOT NULL,
            arrived REAL NOT NULL, prompt TEXT NOT NULL, answers TEXT NOT NULL,
            PRIMARY KEY (attempt, call)) STRICT;
        CREATE TABLE outcomes (
            sequence INTEGER PRIMARY KEY, attempt INTEGER NOT NULL UNIQUE,
            session INTEGER NOT NULL, finished REAL NOT NULL,
            verdict TEXT NOT NULL, reason TEXT NOT NULL, proposed TEXT) STRICT;
        CREATE TABLE programs (
            id INTEGER PRIMARY KEY, files TEXT NOT NULL, base TEXT NOT NULL,
            parents TEXT NOT NULL, operator TEXT NOT NULL, island INTEGER NOT NULL,
            generation INTEGER NOT NULL, summary TEXT NOT NULL) STRICT;
        CREATE TABLE evaluations (
            program INTEGER NOT NULL, purpose TEXT NOT NULL, status TEXT NOT NULL,
            metrics TEXT NOT NULL, private TEXT NOT NULL, objectives TEXT, features TEXT NOT NULL,
            feedback TEXT NOT NULL, artifacts TEXT NOT NULL, seconds REAL NOT NULL,
            stage INTEGER NOT NULL, isolation TEXT NOT NULL, trusted INTEGER NOT NULL,
            fault TEXT NOT NULL, evaluations INTEGER NOT NULL) STRICT;
        CREATE INDEX evaluations_of_program ON evaluations (program);
        CREATE TABLE stops (
            id INTEGER PRIMARY KEY, session INTEGER NOT NULL, stopped REAL NOT NULL,
            reason TEXT NOT NULL) STRICT;
        """
    )


def _more_of_each(database: sqlite3.Connection) -> None:
    """Which model an attempt asked and with whom it shared a request; thoughts, flags, probes."""
    database.executescript(
        """
        ALTER TABLE attempts ADD COLUMN model TEXT NOT NULL DEFAULT '';
        ALTER TABLE attempts ADD COLUMN leader INTEGER;
        ALTER TABLE programs ADD COLUMN thought TEXT NOT NULL DEFAULT '';
        ALTER TABLE evaluations ADD COLUMN flags TEXT NOT NULL DEFAULT '[]';
        ALTER TABLE evaluations ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
        ALTER TABLE evaluations ADD COLUMN seen INTEGER NOT NULL DEFAULT -1;
        """
    )


# Appended to, never edited: a database records how many of them it has been through.
MIGRATIONS: Sequence[Callable[[sqlite3.Connection], None]] = (_first_tables, _more_of_each)


def migrate(database: sqlite3.Connection) -> None:
    """Bring a database up to date; a new one has been through nothing yet.

    Raises:
        UsageError: a newer evolver wrote it.
    """
    (done,) = database.execute("PRAGMA user_version").fetchone()
    if done > len(MIGRATIONS):
        raise UsageError("this run was written by a newer evolver; upgrade evolver to open it")
    for number, migration in enumerate(MIGRATIONS[done:], start=done + 1):
        migration(database)
        database.execute(f"PRAGMA user_version = {number}")
        database.commit()
