"""Write the facts of a run: append-only rows in SQLite, from which everything else is a view.

A request is committed before it is sent, a completion when it arrives, an outcome when its attempt
is finished, each in one transaction. Nothing is ever updated or deleted, so a `kill -9` loses at
most what was in flight, and what was in flight is known.
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
    """The facts of one run, which this session adds to: the one writer, and a reader too.

    Open it with `create` or `resume`. One process at a time can hold a run's store.
    """

    def __init__(
        self, database: sqlite3.Connection, session: int, held: IO[str] | None = None
    ) -> None:
        """Add to an open database; see `create` and `resume`.

        Args:
            database: open for writing, its tables up to date.
            session: number of the session that adds to it.
            held: the lock, which `close` releases; None: no other process knows of the database.
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
            facts: what stays as it is, name -> value.
            version: of evolver.
            settings: what this session is told to do, in JSON.

        Raises:
            UsageError: the directory holds a run already.
        """
        if (directory / DATABASE).exists():
            raise UsageError(f"{directory} holds another run; choose another --out, or resume it")
        begin_facts(directory, facts)
        return cls.resume(directory, version, settings)

    @classmethod
    def resume(cls, directory: Path, version: str, settings: str = "") -> Store:
        """Open the facts of a run for going on with it; see `create`.

        Raises:
            UsageError: no run is there, another process holds it, or it is damaged.
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
        """Close the database, which is then one file, and let others write."""
        end_log(self._database)
        super().close()
        if self._lock is not None:
            self._lock.close()

    def note(self, name: str, value: Any) -> None:
        """Record a fact that was not known when the run was created; the first value stays."""
        with self._database:
            rows.insert(self._database, "facts", rows.fact_row(name, value), or_ignore=True)

    def begin(self, *attempts: Attempt) -> None:
        """Record attempts before anything is spent on them: all of them, or none."""
        with self._database:
            for attempt in attempts:
                self._add("attempts", rows.attempt_row(attempt), "started")

    def send(self, request: Request) -> int:
        """Record a request before it is sent; return the number that its answer is recorded by."""
        with self._database:
            (tried,) = self._database.execute(
                "SELECT count(*) FROM requests WHERE attempt = ? AND call = ?",
                (request.attempt, request.call),
            ).fetchone()
            return self._add(
                "requests", rows.request_row(request, 1 + tried, self._contents), "sent"
            )

    def record(self, number: int, answers: Sequence[Completion]) -> None:
        """Record what a model answered to a request, before it is parsed.

        This is money, so it is on the disk when the method returns, power cuts included.
        """
        attempt, call = self._database.execute(
            "SELECT attempt, call FROM requests WHERE id = ?", (number,)
        ).fetchone()
        self._database.execute("PRAGMA synchronous = FULL")
        with self._database:
            self._add("completions", rows.answers_row(number, attempt, call, answers), "arrived")
        self._database.execute("PRAGMA synchronous = NORMAL")

    def fail(self, number: int, reason: str, bill: Completion | None) -> None:
        """Record why a request has no completion, and what it cost all the same; None: unknown."""
        with self._database:
            self._add("failures", rows.failure_row(number, reason, bill), "failed")

    def record_preflight(self, attempt: int, turn: int, made: Preflight) -> None:
        """Record an attempt's pre-flight: 0 of what was proposed, 1 of what was mended."""
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
        """Record a measurement that repeats one, made before a winner is announced."""
        with self._database:
            row = rows.confirmation_row(confirmation, self._contents)
            rows.insert(self._database, "evaluations", row)

    def plan(self, round_: Round) -> None:
        """Record a round before anything is measured in it."""
        with self._database:
            self._add("rounds", rows.round_row(round_), "planned")

    def close_round(self, round_: Round) -> None:
        """Record that a round's measurements are all there: from here on they count."""
        with self._database:
            self._add("closings", rows.closing_row(round_), "closed")

    def stop(self, reason: str) -> None:
        """Record that this session ended, and why."""
        with self._database:
            self._add("stops", {"reason": reason}, "stopped")

    def _add(self, table: str, row: rows.Row, moment: str | None = None) -> int:
        """Add a row of this session; `moment` names the column for the time that it is now."""
        now = {} if moment is None else {moment: time.time()}
        return rows.insert(self._database, table, {**row, "session": self._session, **now})


@contextlib.contextmanager
def _explained(directory: Path) -> Iterator[None]:
    """Turn SQLite's errors at the opening of a database into ours, but for those of the disk."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if "full" in str(error) or "readonly" in str(error):
            raise
        if "locked" in str(error):
            raise UsageError(
                f"another process reads {directory} and keeps its database locked; "
                "wait for it or stop it first"
            ) from error
        raise damaged(directory, error) from error


def begin_facts(directory: Path, facts: Mapping[str, Any]) -> None:
    """Write the database of a new run, of which nothing but some facts is known.

    Args:
        directory: of the run.
        facts: what stays as it is, name -> value.
    """
    with contextlib.closing(connect(directory / DATABASE)) as database:
        migrate(database)
        with database:
            for name, value in facts.items():
                rows.insert(database, "facts", rows.fact_row(name, value))
