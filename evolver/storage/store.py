"""Write the facts of a run: append-only rows in SQLite. Everything else is a view of them.

A request is committed before it is sent, a completion when it arrives, an outcome when its attempt
ends, each in one transaction. No row is updated or deleted, so a `kill -9` loses at most what was
in flight, and the rows tell what that was.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from evolver.errors import UsageError
from evolver.storage import rows
from evolver.storage.database import (
    DATABASE,
    begin_log,
    check_integrity,
    connect,
    damaged,
    end_log,
    find_database,
    lock,
)
from evolver.storage.facts import Attempt, Confirmation, Outcome, Request, Round
from evolver.storage.reader import Reader
from evolver.storage.schema import migrate
from evolver.types import Completion, Preflight


class Store(Reader):
    """The facts of one run, to which this session adds. The one writer; it is a reader too.

    Open it with `create` or `resume`. A lock keeps other processes from opening the same run.
    """

    def __init__(
        self, database: sqlite3.Connection, session: int, held: IO[str] | None = None
    ) -> None:
        """Add to an open database; see `create` and `resume`.

        Args:
            database: open for writing, its tables up to date.
            session: number of the session that adds to it.
            held: the lock, which `close` releases; None if the database is in memory.
        """
        super().__init__(database)
        self._session = session
        self._lock = held

    @classmethod
    def create(
        cls, directory: Path, facts: Mapping[str, Any], version: str, settings: str = ""
    ) -> Store:
        """Start the facts of a new run in an existing directory.

        Args:
            directory: of the run.
            facts: name -> value; they never change.
            version: of evolver.
            settings: the configuration of this session, in JSON.

        Raises:
            UsageError: the directory has a run already.
        """
        if (directory / DATABASE).exists():
            raise UsageError(f"{directory} holds another run; choose another --out, or resume it")
        begin_facts(directory, facts)
        return cls.resume(directory, version, settings)

    @classmethod
    def resume(cls, directory: Path, version: str, settings: str = "") -> Store:
        """Open the facts of a run to go on with it; see `create` for the arguments.

        Raises:
            UsageError: the directory has no run, another process holds the lock or keeps the
                database locked, or it is damaged.
        """
        path = find_database(directory)
        with contextlib.ExitStack() as opened, _explained(directory):
            held = opened.enter_context(lock(directory))
            database = opened.enter_context(contextlib.closing(connect(path)))
            if database.execute("PRAGMA user_version").fetchone()[0] == 0:
                raise damaged(directory, "it is empty")
            migrate(database)
            check_integrity(database, directory)
            begin_log(database)
            row = {"started": time.time(), "version": version, "settings": settings}
            with database:
                session = rows.insert(database, "sessions", row)
            opened.pop_all()  # from here on they are closed by `close`
        return cls(database, session, held)

    def close(self) -> None:
        """Close the database and release the lock. The database is then a single file."""
        end_log(self._database)
        super().close()
        if self._lock is not None:
            self._lock.close()

    def note(self, name: str, value: Any) -> None:
        """Record a fact that was not known at the start; a fact that is recorded stays."""
        with self._database:
            rows.insert(self._database, "facts", rows.fact_row(name, value), or_ignore=True)

    def begin(self, *attempts: Attempt) -> None:
        """Record attempts before they spend anything: all of them, or none."""
        with self._database:
            for attempt in attempts:
                self._add("attempts", rows.attempt_row(attempt), "started")

    def send(self, request: Request) -> int:
        """Record a request before it is sent; return its number, for `record` and `fail`."""
        with self._database:
            (tried,) = self._database.execute(
                "SELECT count(*) FROM requests WHERE attempt = ? AND call = ?",
                (request.attempt, request.call),
            ).fetchone()
            return self._add(
                "requests", rows.request_row(request, 1 + tried, self._contents), "sent"
            )

    def record(self, number: int, answers: Sequence[Completion]) -> None:
        """Record the answers to a request, before they are parsed.

        They cost money, so they survive a power cut once the method has returned.
        """
        attempt, call = self._database.execute(
            "SELECT attempt, call FROM requests WHERE id = ?", (number,)
        ).fetchone()
        self._database.execute("PRAGMA synchronous = FULL")
        with self._database:
            self._add("completions", rows.answers_row(number, attempt, call, answers), "arrived")
        self._database.execute("PRAGMA synchronous = NORMAL")

    def fail(self, number: int, reason: str, bill: Completion | None) -> None:
        """Record why a request failed, and what it cost; None: unknown."""
        with self._database:
            self._add("failures", rows.failure_row(number, reason, bill), "failed")

    def record_preflight(self, attempt: int, turn: int, made: Preflight) -> None:
        """Record an attempt's pre-flight; turn 0 is of the proposal, turn 1 of its repair."""
        with self._database:
            self._add("preflights", rows.preflight_row(attempt, turn, made))

    def finish(self, outcome: Outcome) -> None:
        """Record how an attempt ended, with its program and its evaluation."""
        program, evaluation = outcome.program, outcome.evaluation
        with self._database:
            self._add("outcomes", rows.outcome_row(outcome, self._contents), "finished")
            if program is None:
                return
            rows.insert(self._database, "programs", rows.program_row(program, self._contents))
            if evaluation is not None:
                row = rows.score_row(program.id, evaluation, self._contents)
                rows.insert(self._database, "evaluations", row)

    def confirm(self, confirmation: Confirmation) -> None:
        """Record a repeated measurement."""
        with self._database:
            row = rows.confirmation_row(confirmation, self._contents)
            rows.insert(self._database, "evaluations", row)

    def plan(self, round_: Round) -> None:
        """Record the plan of a round, before its measurements."""
        with self._database:
            self._add("rounds", rows.round_row(round_), "planned")

    def close_round(self, round_: Round) -> None:
        """Record that all measurements of a round are made; from now on they count."""
        with self._database:
            self._add("closings", rows.closing_row(round_), "closed")

    def stop(self, reason: str) -> None:
        """Record that this session ended, and why."""
        with self._database:
            self._add("stops", {"reason": reason}, "stopped")

    def _add(self, table: str, row: rows.Row, moment: str | None = None) -> int:
        """Add a row with this session and, in the column `moment`, the time."""
        now = {} if moment is None else {moment: time.time()}
        return rows.insert(self._database, table, {**row, "session": self._session, **now})


@contextlib.contextmanager
def _explained(directory: Path) -> Iterator[None]:
    """Turn SQLite's errors into `UsageError`, except those of a full or read-only disk."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if "full" in str(error) or "readonly" in str(error):
            raise
        if "locked" in str(error):
            raise UsageError(
                f"another process keeps the database of {directory} locked; "
                "wait for it, or stop it first"
            ) from error
        raise damaged(directory, error) from error


def begin_facts(directory: Path, facts: Mapping[str, Any]) -> None:
    """Create the database of a new run, with some facts.

    Args:
        directory: of the run.
        facts: name -> value; they never change.
    """
    with contextlib.closing(connect(directory / DATABASE)) as database:
        migrate(database)
        with database:
            for name, value in facts.items():
                rows.insert(database, "facts", rows.fact_row(name, value))
