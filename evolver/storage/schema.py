"""The tables of a run's database, and the migrations from older versions."""

from __future__ import annotations

import hashlib
import json
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
    """The model and the leader of an attempt; thoughts; flags; fingerprints."""
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


def _requests(database: sqlite3.Connection) -> None:
    """Tables of requests, written before they are sent, and of failures; prompts by hash."""
    for statement in (
        """
        CREATE TABLE requests (
            id INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, call INTEGER NOT NULL,
            try INTEGER NOT NULL, session INTEGER NOT NULL, sent REAL NOT NULL,
            model TEXT NOT NULL, samples INTEGER NOT NULL, prompt TEXT NOT NULL,
            prompt_bound INTEGER, completion_bound INTEGER, dollars_bound REAL) STRICT
        """,
        "CREATE INDEX requests_of_attempt ON requests (attempt)",
        """
        CREATE TABLE failures (
            request INTEGER PRIMARY KEY, session INTEGER NOT NULL, failed REAL NOT NULL,
            reason TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER,
            dollars REAL) STRICT
        """,
        "ALTER TABLE completions ADD COLUMN request INTEGER",
    ):
        database.execute(statement)
    rows = database.execute(
        "SELECT rowid, attempt, call, session, arrived, prompt, answers FROM completions"
    )
    for row, attempt, call, session, arrived, prompt, answers in rows.fetchall():
        hashes = {}
        for part, text in json.loads(prompt).items():
            content = text.encode("utf-8", "replace")
            hashes[part] = hashlib.sha256(content).hexdigest()
            database.execute(
                "INSERT OR IGNORE INTO contents VALUES (?, ?)", (hashes[part], content)
            )
        given = json.loads(answers)
        request = database.execute(
            "INSERT INTO requests VALUES (NULL, ?, ?, 1, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
            (attempt, call, session, arrived, given[0]["model"], len(given), json.dumps(hashes)),
        ).lastrowid
        database.execute("UPDATE completions SET request = ? WHERE rowid = ?", (request, row))
    database.execute("ALTER TABLE completions DROP COLUMN prompt")


def _preflights(database: sqlite3.Connection) -> None:
    """Pre-flights; what a session was told to do; which attempts had begun at a confirmation."""
    for statement in (
        """
        CREATE TABLE preflights (
            attempt INTEGER NOT NULL, turn INTEGER NOT NULL, session INTEGER NOT NULL,
            complaint TEXT NOT NULL, fingerprint TEXT NOT NULL, seconds REAL NOT NULL,
            PRIMARY KEY (attempt, turn)) STRICT
        """,
        "ALTER TABLE sessions ADD COLUMN settings TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE evaluations ADD COLUMN begun INTEGER NOT NULL DEFAULT -1",
    ):
        database.execute(statement)


def _memory(database: sqlite3.Connection) -> None:
    """The peak memory of a candidate, in bytes; 0: not measured."""
    database.execute("ALTER TABLE evaluations ADD COLUMN memory INTEGER NOT NULL DEFAULT 0")


def _summaries(database: sqlite3.Connection) -> None:
    """The operator's summary of a child that a filter rejected."""
    database.execute("ALTER TABLE outcomes ADD COLUMN summary TEXT NOT NULL DEFAULT ''")


def _rounds(database: sqlite3.Connection) -> None:
    """Rounds in which programs are measured again: their plans and their closings."""
    for statement in (
        """
        CREATE TABLE rounds (
            number INTEGER PRIMARY KEY, session INTEGER NOT NULL, planned REAL NOT NULL,
            programs TEXT NOT NULL, first INTEGER NOT NULL, least INTEGER NOT NULL,
            most INTEGER NOT NULL, allowance REAL, is_strict INTEGER NOT NULL, asked INTEGER) STRICT
        """,
        """
        CREATE TABLE closings (
            round INTEGER PRIMARY KEY, session INTEGER NOT NULL, closed REAL NOT NULL,
            seen INTEGER NOT NULL, begun INTEGER NOT NULL, is_exact INTEGER NOT NULL) STRICT
        """,
        "ALTER TABLE evaluations ADD COLUMN round INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE evaluations ADD COLUMN repeat INTEGER NOT NULL DEFAULT 0",
    ):
        database.execute(statement)


def _separate_texts(database: sqlite3.Connection) -> None:
    """Why a repair failed, and what a program printed: fields of their own, once parts of texts."""
    for table, text, part, mark in (
        ("outcomes", "reason", "repair_failure", "\nnot mended: "),
        ("evaluations", "feedback", "printed", "\nit printed, at the end:\n"),
    ):
        database.execute(f"ALTER TABLE {table} ADD COLUMN {part} TEXT NOT NULL DEFAULT ''")
        database.execute(
            f"UPDATE {table} SET {part} = substr({text}, instr({text}, :mark) + length(:mark)), "
            f"{text} = substr({text}, 1, instr({text}, :mark) - 1) WHERE instr({text}, :mark) > 0",
            {"mark": mark},
        )


# Appended to, never edited: a database records how many of them it has been through.
MIGRATIONS: Sequence[Callable[[sqlite3.Connection], None]] = (
    _first_tables,
    _more_of_each,
    _requests,
    _preflights,
    _memory,
    _summaries,
    _rounds,
    _separate_texts,
)


def is_current(database: sqlite3.Connection) -> bool:
    """Tell whether a database has been through every migration.

    Raises:
        UsageError: a newer evolver wrote the database.
    """
    (done,) = database.execute("PRAGMA user_version").fetchone()
    if done > len(MIGRATIONS):
        raise UsageError("this run was written by a newer evolver; upgrade evolver to open it")
    return bool(done == len(MIGRATIONS))


def migrate(database: sqlite3.Connection, upto: int = len(MIGRATIONS)) -> None:
    """Migrate a database; a new one gets all its tables.

    Args:
        database: open for writing.
        upto: number of migrations to reach.

    Raises:
        UsageError: a newer evolver wrote the database.
    """
    is_current(database)
    (done,) = database.execute("PRAGMA user_version").fetchone()
    for number, migration in enumerate(MIGRATIONS[done:upto], start=done + 1):
        database.execute("BEGIN IMMEDIATE")  # a kill leaves all of a migration or nothing
        migration(database)
        database.execute(f"PRAGMA user_version = {number}")
        database.commit()
