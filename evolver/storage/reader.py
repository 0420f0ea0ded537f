"""Read the facts of a run, also while another process writes them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evolver.storage import rows
from evolver.storage.contents import Contents
from evolver.storage.database import bring_up_to_date, connect_to_read, copy, damaged, find_database
from evolver.storage.facts import Attempt, Confirmation, Outcome, Round, Session
from evolver.storage.schema import is_current
from evolver.storage.totals import Bill, PreflightCounts
from evolver.types import Bound, Completion, Evaluation, Preflight, Program, Prompt


class Reader:
    """The facts of one run, and totals over them. Not thread-safe."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """Read an open database; see `open` and `snapshot`."""
        self._database = database
        self._contents = Contents(database)

    @staticmethod
    def open(directory: Path) -> Reader:
        """Open the facts of a run. Each method reads what is stored when it is called.

        The database of an older evolver is migrated first.

        Raises:
            UsageError: the directory has no run, the database is damaged, or it must be migrated
                while another process writes it.
        """
        path = find_database(directory)
        try:
            database = connect_to_read(path)
            database.execute("SELECT count(*) FROM facts").fetchone()
            if not is_current(database):
                bring_up_to_date(directory)
        except sqlite3.DatabaseError as error:
            raise damaged(directory, error) from error
        return Reader(database)

    @staticmethod
    def snapshot(directory: Path) -> Reader:
        """Copy the facts of a run into memory, as they are now.

        Raises:
            UsageError: the directory has no run, or its database is damaged.
        """
        return Reader(copy(directory, ":memory:"))

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # --- facts ---------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """Return the named facts: those of the start, and those that were noted since."""
        found = self._database.execute("SELECT name, value FROM facts")
        return {name: json.loads(value) for name, value in found}

    def attempts(self, *, unfinished: bool = False) -> list[Attempt]:
        """Return every attempt by id, or only those without an outcome."""
        where = "WHERE id NOT IN (SELECT attempt FROM outcomes)" if unfinished else ""
        found = rows.select(self._database, f"SELECT * FROM attempts {where} ORDER BY id")
        return [rows.attempt_of(row) for row in found]

    def next_attempt(self) -> int:
        """Return the number after the highest one that an attempt or a request has."""
        (highest,) = self._database.execute(
            "SELECT max(coalesce((SELECT max(id) FROM attempts), -1), "
            "coalesce((SELECT max(attempt) FROM completions), -1), "
            "coalesce((SELECT max(attempt) FROM requests), -1))"
        ).fetchone()
        return int(highest) + 1

    def outcomes(self) -> Iterator[Outcome]:
        """Yield every outcome in commit order, with its program and its evaluation."""
        attempts = {attempt.id: attempt for attempt in self.attempts()}
        for row in rows.select(self._database, "SELECT * FROM outcomes ORDER BY sequence"):
            attempt = attempts[row["attempt"]]
            program = _program(self._database, attempt.id, self._contents)
            evaluation = _score(self._database, attempt.id, self._contents)
            yield rows.outcome_of(row, attempt, program, evaluation, self._contents)

    def confirmations(self) -> list[Confirmation]:
        """Return the repeated measurements, in the order in which they were made."""
        found = rows.select(
            self._database,
            "SELECT * FROM evaluations WHERE purpose = 'confirmation' ORDER BY rowid",
        )
        return [rows.confirmation_of(row, self._contents) for row in found]

    def rounds(self) -> list[Round]:
        """Return the rounds in which programs were measured again, in order."""
        found = rows.select(
            self._database,
            "SELECT rounds.*, closings.seen, closings.begun, closings.is_exact FROM rounds "
            "LEFT JOIN closings ON closings.round = rounds.number ORDER BY rounds.number",
        )
        return [rows.round_of(row) for row in found]

    def completions(self, attempt: int) -> dict[int, tuple[Completion, ...]]:
        """Return the stored answers to an attempt's requests, by the number of the request."""
        found = rows.select(
            self._database, "SELECT * FROM completions WHERE attempt = ?", (attempt,)
        )
        return {row["call"]: rows.answers_of(row) for row in found}

    def prompts(self, attempt: int) -> dict[int, Prompt]:
        """Return the prompts that were sent for an attempt, by the number of the request.

        A first request that several attempts share belongs to each of them.
        """
        found = self._database.execute(
            "SELECT call, prompt FROM requests WHERE attempt = ?1 OR (call = 0 AND attempt = "
            "(SELECT leader FROM attempts WHERE id = ?1)) ORDER BY attempt, id",
            (attempt,),
        )
        # The attempt's own prompt replaces its leader's, and that of a retry the first one.
        prompts = dict(found.fetchall())
        return {
            call: rows.prompt_of(self._contents.files(prompts[call])) for call in sorted(prompts)
        }

    def preflights(self, attempt: int) -> dict[int, Preflight]:
        """Return the stored pre-flights of an attempt by turn."""
        found = rows.select(
            self._database, "SELECT * FROM preflights WHERE attempt = ?", (attempt,)
        )
        return {row["turn"]: rows.preflight_of(row) for row in found}

    def sessions(self) -> list[Session]:
        """Return the sessions, in order."""
        begun = _by_session(self._database, "SELECT session, id FROM attempts ORDER BY id")
        finished = _by_session(
            self._database, "SELECT session, attempt FROM outcomes ORDER BY sequence"
        )
        closed = _by_session(self._database, "SELECT session, round FROM closings ORDER BY round")
        return [
            Session(
                number,
                settings,
                tuple(begun.get(number, ())),
                tuple(finished.get(number, ())),
                tuple(closed.get(number, ())),
            )
            for number, settings in self._database.execute(
                "SELECT id, settings FROM sessions ORDER BY id"
            )
        ]

    def last_stop(self, before: int = 0) -> str | None:
        """Return why a session ended; None if it was killed or is at work.

        Args:
            before: 0: the last session; n: the one n sessions earlier.
        """
        row = self._database.execute(
            "SELECT reason FROM stops WHERE session = (SELECT id FROM sessions ORDER BY id DESC "
            "LIMIT 1 OFFSET ?)",
            (before,),
        ).fetchone()
        return None if row is None else str(row[0])

    # --- totals --------------------------------------------------------------------------------

    def costs(self, attempt: int | None = None) -> Iterator[tuple[str, Bound, Bill]]:
        """Yield the model, the bound and the bill of every request, or of those of one attempt."""
        where, parameters = ("", ()) if attempt is None else ("WHERE r.attempt = ? ", (attempt,))
        found = rows.select(
            self._database,
            "SELECT r.*, c.answers, f.prompt_tokens, f.completion_tokens, f.dollars "
            "FROM requests r LEFT JOIN completions c ON c.attempt = r.attempt "
            "AND c.call = r.call AND c.request = r.id "
            f"LEFT JOIN failures f ON f.request = r.id {where}ORDER BY r.id",
            parameters,
        )
        for row in found:
            yield row["model"], rows.bound_of(row), rows.bill_of(row)

    def bills(self, attempt: int | None = None) -> dict[str, Bill]:
        """Return what requests cost, by the model's name: all, or those of one attempt."""
        bills: dict[str, Bill] = {}
        for model, _, bill in self.costs(attempt):
            bills[model] = bills.get(model, Bill()) + bill
        return bills

    def bill(self) -> Bill:
        """Return what all requests cost together."""
        return sum(self.bills().values(), Bill())

    def preflight_counts(self) -> PreflightCounts:
        """Return what all pre-flights found."""
        row = self._database.execute(
            "SELECT count(*), sum(turn = 0 AND attempt > 0 AND complaint != ''), "
            "sum(turn = 1 AND complaint = ''), sum(seconds) FROM preflights"
        ).fetchone()
        return PreflightCounts(*(value or 0 for value in row))

    def seconds(self) -> float:
        """Return the time worked on the run: each session until the last row that it wrote."""
        (total,) = self._database.execute(
            """
            SELECT coalesce(sum(ended - started), 0) FROM (
                SELECT s.started, max(
                    s.started,
                    coalesce((SELECT max(finished) FROM outcomes WHERE session = s.id), 0),
                    coalesce((SELECT max(sent) FROM requests WHERE session = s.id), 0),
                    coalesce((SELECT max(arrived) FROM completions WHERE session = s.id), 0),
                    coalesce((SELECT max(failed) FROM failures WHERE session = s.id), 0),
                    coalesce((SELECT max(planned) FROM rounds WHERE session = s.id), 0),
                    coalesce((SELECT max(closed) FROM closings WHERE session = s.id), 0),
                    coalesce((SELECT max(stopped) FROM stops WHERE session = s.id), 0)) AS ended
                FROM sessions s)
            """
        ).fetchone()
        return float(total)


def _program(database: sqlite3.Connection, number: int, contents: Contents) -> Program | None:
    row = rows.select(database, "SELECT * FROM programs WHERE id = ?", (number,)).fetchone()
    return None if row is None else rows.program_of(row, contents)


def _score(database: sqlite3.Connection, program: int, contents: Contents) -> Evaluation | None:
    row = rows.select(
        database, "SELECT * FROM evaluations WHERE program = ? AND purpose = 'score'", (program,)
    ).fetchone()
    return None if row is None else rows.evaluation_of(row, contents)


def _by_session(database: sqlite3.Connection, query: str) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for session, number in database.execute(query):
        found.setdefault(session, []).append(number)
    return found
