"""The one durable writer: append-only facts in SQLite, from which everything else is a view.

A request is committed before it is sent, a completion when it arrives, an outcome when its attempt
is finished, each in one transaction. Nothing is ever updated or deleted, so a `kill -9` loses at
most what was in flight, and what was in flight is known.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import IO, Any

from evolver.errors import UsageError
from evolver.storage.database import (
    DATABASE,
    bring_up_to_date,
    check_integrity,
    connect,
    connect_to_read,
    damaged,
    existing,
    lock,
)
from evolver.storage.facts import (
    Attempt,
    Confirmation,
    Outcome,
    Request,
    Round,
    Session,
)
from evolver.storage.schema import is_current, migrate
from evolver.storage.totals import Bill, PreflightCounts
from evolver.types import Bound, Completion, Evaluation, Files, Preflight, Program, Prompt


class Store:
    """The facts of one run.

    Open it with `create`, `resume` or `read`. Only the first two may write, and only one process
    at a time can hold them. Not safe to share between threads.
    """

    def __init__(self, database: sqlite3.Connection, held: IO[str] | None, session: int) -> None:
        """Use the class methods instead."""
        self._database = database
        self._lock = held
        self._session = session

    # --- opening and closing -----------------------------------------------------------------

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
        path = existing(directory)
        held = lock(directory)
        try:
            database = connect(path)
            if database.execute("PRAGMA user_version").fetchone()[0] == 0:
                raise damaged(directory, "it is empty")
            migrate(database)
            check_integrity(database, directory)
            return cls(database, held, _new_session(database, version, settings))
        except (sqlite3.DatabaseError, UsageError) as error:
            held.close()
            if isinstance(error, UsageError) or "full" in str(error) or "readonly" in str(error):
                raise
            raise damaged(directory, error) from error

    @classmethod
    def read(cls, directory: Path) -> Store:
        """Open the facts of a run for reading, also while another process writes them.

        A run that an older evolver wrote is brought up to date first.

        Raises:
            UsageError: no run is there, or it is damaged, or of an older evolver and in use.
        """
        path = existing(directory)
        try:
            database = connect_to_read(path)
            database.execute("SELECT count(*) FROM facts").fetchone()
            if not is_current(database):
                bring_up_to_date(directory)
        except sqlite3.DatabaseError as error:
            raise damaged(directory, error) from error
        return cls(database, None, 0)

    def hold_still(self) -> None:
        """Read the facts as they are now from here on, whatever another process writes."""
        self._database.execute("BEGIN")
        self._database.execute("SELECT count(*) FROM facts").fetchone()

    def close(self) -> None:
        """Close the database and let others write."""
        self._database.close()
        if self._lock is not None:
            self._lock.close()

    # --- writing -----------------------------------------------------------------------------

    def note(self, name: str, value: Any) -> None:
        """Record a fact that was not known when the run was created; the first value stays."""
        with self._database:
            self._database.execute(
                "INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, json.dumps(value))
            )

    def begin(self, *attempts: Attempt) -> None:
        """Record attempts before anything is spent on them: all of them, or none."""
        with self._database:
            self._database.executemany(
                "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        attempt.id,
                        self._session,
                        time.time(),
                        attempt.seen,
                        attempt.operator,
                        attempt.island,
                        attempt.parent,
                        json.dumps(attempt.inspirations),
                        attempt.reserved,
                        attempt.model,
                        attempt.leader,
                    )
                    for attempt in attempts
                ],
            )

    def send(self, request: Request) -> int:
        """Record a request before it is sent; return the number that its answer is recorded by."""
        with self._database:
            cursor = self._database.execute(
                "INSERT INTO requests SELECT NULL, ?1, ?2, 1 + count(*), ?3, ?4, ?5, ?6, ?7, ?8, "
                "?9, ?10 FROM requests WHERE attempt = ?1 AND call = ?2",
                (
                    request.attempt,
                    request.call,
                    self._session,
                    time.time(),
                    request.model,
                    request.samples,
                    self._keep(_parts(request.prompt)),
                    request.bound.prompt_tokens,
                    request.bound.completion_tokens,
                    request.bound.dollars,
                ),
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def record(self, number: int, answers: Sequence[Completion]) -> None:
        """Record what a model answered to a request, before anybody parses it.

        This is money, so it is on the disk when the method returns, power cuts included.
        """
        self._database.execute("PRAGMA synchronous = FULL")
        with self._database:
            self._database.execute(
                "INSERT INTO completions SELECT attempt, call, ?, ?, ?, id FROM requests "
                "WHERE id = ?",
                (
                    self._session,
                    time.time(),
                    json.dumps([asdict(answer) for answer in answers]),
                    number,
                ),
            )
        self._database.execute("PRAGMA synchronous = NORMAL")

    def fail(self, number: int, reason: str, bill: Completion | None) -> None:
        """Record why a request has no completion, and what it cost all the same; None: unknown."""
        cost = (
            (None, None, None)
            if bill is None
            else (bill.prompt_tokens, bill.completion_tokens, bill.dollars)
        )
        with self._database:
            self._database.execute(
                "INSERT INTO failures VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number, self._session, time.time(), _text(reason), *cost),
            )

    def record_preflight(self, attempt: int, turn: int, preflight: Preflight) -> None:
        """Record an attempt's pre-flight: 0 of what was proposed, 1 of what was mended."""
        with self._database:
            self._database.execute(
                "INSERT INTO preflights VALUES (?, ?, ?, ?, ?, ?)",
                (
                    attempt,
                    turn,
                    self._session,
                    _text(preflight.complaint),
                    preflight.fingerprint,
                    preflight.seconds,
                ),
            )

    def finish(self, outcome: Outcome) -> None:
        """Record how an attempt ended, with its program and its evaluation."""
        with self._database:
            proposed = None if outcome.proposed is None else self._keep(outcome.proposed)
            self._database.execute(
                "INSERT INTO outcomes VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
                (
                    outcome.attempt.id,
                    self._session,
                    time.time(),
                    outcome.verdict,
                    _text(outcome.reason),
                    proposed,
                    _text(outcome.summary),
                ),
            )
            if outcome.program is not None:
                self._add_program(outcome.program)
                if outcome.evaluation is not None:
                    self._add_evaluation(outcome.program.id, "score", outcome.evaluation)

    def confirm(self, confirmation: Confirmation) -> None:
        """Record a measurement that repeats one, made before a winner is announced."""
        made = confirmation
        with self._database:
            self._add_evaluation(
                made.program,
                "confirmation",
                made.evaluation,
                (made.seen, made.begun),
                (made.round, made.repeat),
            )

    def plan(self, round_: Round) -> None:
        """Record a round before anything is measured in it."""
        with self._database:
            self._database.execute(
                "INSERT INTO rounds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    round_.number,
                    self._session,
                    time.time(),
                    json.dumps(round_.programs),
                    round_.first,
                    round_.least,
                    round_.most,
                    round_.allowance,
                    int(round_.is_strict),
                    round_.asked,
                ),
            )

    def close_round(self, round_: Round) -> None:
        """Record that a round's measurements are all there: from here on they count."""
        with self._database:
            self._database.execute(
                "INSERT INTO closings VALUES (?, ?, ?, ?, ?, ?)",
                (
                    round_.number,
                    self._session,
                    time.time(),
                    round_.seen,
                    round_.begun,
                    int(round_.is_exact),
                ),
            )

    def stop(self, reason: str) -> None:
        """Record that this session ended, and why."""
        with self._database:
            self._database.execute(
                "INSERT INTO stops VALUES (NULL, ?, ?, ?)", (self._session, time.time(), reason)
            )

    def _keep(self, files: Files) -> str:
        """Store contents once, by hash; return the mapping path -> hash as JSON."""
        hashes = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
        self._database.executemany(
            "INSERT OR IGNORE INTO contents VALUES (?, ?)",
            [(hashes[path], content) for path, content in files.items()],
        )
        return json.dumps(hashes)

    def _add_program(self, program: Program) -> None:
        self._database.execute(
            "INSERT INTO programs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                program.id,
                self._keep(program.files),
                program.base,
                json.dumps(program.parents),
                program.operator,
                program.island,
                program.generation,
                _text(program.summary),
                _text(program.thought),
            ),
        )

    def _add_evaluation(
        self,
        program: int,
        purpose: str,
        evaluation: Evaluation,
        place: tuple[int, int] = (-1, -1),  # seen, begun
        repeat: tuple[int, int] = (0, 0),  # round, number
    ) -> None:
        objectives = evaluation.objectives
        self._database.execute(
            f"INSERT INTO evaluations VALUES ({', '.join('?' * 22)})",
            (
                program,
                purpose,
                evaluation.status,
                json.dumps(dict(evaluation.metrics)),
                json.dumps(dict(evaluation.private)),
                None if objectives is None else json.dumps(objectives),
                json.dumps(dict(evaluation.features)),
                _text(evaluation.feedback),
                self._keep(evaluation.artifacts),
                evaluation.seconds,
                evaluation.stage,
                evaluation.isolation,
                int(evaluation.trusted),
                evaluation.fault,
                evaluation.evaluations,
                json.dumps([_text(flag) for flag in evaluation.flags]),
                evaluation.fingerprint,
                *place,
                evaluation.memory,
                *repeat,
            ),
        )

    # --- reading -----------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """What the run was started with."""
        rows = self._database.execute("SELECT name, value FROM facts")
        return {name: json.loads(value) for name, value in rows}

    def attempts(self, *, unfinished: bool = False) -> list[Attempt]:
        """Every attempt by id, or only those without an outcome."""
        where = "WHERE id NOT IN (SELECT attempt FROM outcomes)" if unfinished else ""
        rows = self._database.execute(
            "SELECT id, seen, operator, island, parent, inspirations, reserved, model, leader "
            f"FROM attempts {where} ORDER BY id"
        )
        return [
            Attempt(number, seen, operator, island, parent, tuple(json.loads(others)), *rest)
            for number, seen, operator, island, parent, others, *rest in rows
        ]

    def next_attempt(self) -> int:
        """Return the lowest number that no attempt and no request has had, nor any above it."""
        (highest,) = self._database.execute(
            "SELECT max(coalesce((SELECT max(id) FROM attempts), -1), "
            "coalesce((SELECT max(attempt) FROM completions), -1), "
            "coalesce((SELECT max(attempt) FROM requests), -1))"
        ).fetchone()
        return int(highest) + 1

    def outcomes(self) -> Iterator[Outcome]:
        """Every outcome in commit order, programs and evaluations included."""
        attempts = {attempt.id: attempt for attempt in self.attempts()}
        rows = self._database.execute(
            "SELECT o.attempt, o.verdict, o.reason, o.proposed, p.id, p.files, p.base, p.parents, "
            f"p.operator, p.island, p.generation, p.summary, p.thought, {_EVALUATION}, o.summary "
            "FROM outcomes o LEFT JOIN programs p ON p.id = o.attempt "
            "LEFT JOIN evaluations e ON e.program = p.id AND e.purpose = 'score' "
            "ORDER BY o.sequence"
        )
        for row in rows:
            yield Outcome(
                attempts[row[0]],
                row[1],
                row[2],
                self._program(row[4:13]) if row[4] is not None else None,
                self._evaluation(row[13:]) if row[13] is not None else None,
                None if row[3] is None else self._files(row[3]),
                row[-1],
            )

    def confirmations(self) -> list[Confirmation]:
        """The repeated measurements, in the order in which they were made."""
        rows = self._database.execute(
            "SELECT e.program, e.seen, e.begun, e.round, e.repeat, "
            f"{_EVALUATION} FROM evaluations e WHERE e.purpose = 'confirmation' ORDER BY e.rowid"
        )
        return [
            Confirmation(program, self._evaluation(row), *place)
            for program, *rest in rows
            for place, row in [(rest[:4], rest[4:])]
        ]

    def rounds(self) -> list[Round]:
        """The rounds in which programs were measured again, in order."""
        rows = self._database.execute(
            "SELECT r.number, r.programs, r.first, r.least, r.most, r.allowance, "
            "r.is_strict, r.asked, coalesce(c.seen, -1), coalesce(c.begun, -1), "
            "coalesce(c.is_exact, 0) FROM rounds r LEFT JOIN closings c ON c.round = r.number "
            "ORDER BY r.number"
        )
        return [
            Round(
                number,
                tuple(json.loads(programs)),
                first,
                least,
                most,
                allowance,
                bool(is_strict),
                asked,
                seen,
                begun,
                bool(is_exact),
            )
            for (
                number, programs, first, least, most, allowance, is_strict, asked, seen, begun,
                is_exact,
            ) in rows
        ]  # fmt: skip

    def closings(self) -> dict[int, int]:
        """The session in which each round closed, by the round's number."""
        return dict(self._database.execute("SELECT round, session FROM closings").fetchall())

    def completions(self, attempt: int) -> dict[int, tuple[Completion, ...]]:
        """The stored answers of an attempt by the number of the request."""
        rows = self._database.execute(
            "SELECT call, answers FROM completions WHERE attempt = ?", (attempt,)
        )
        return {
            call: tuple(Completion(**answer) for answer in json.loads(answers))
            for call, answers in rows
        }

    def prompts(self, attempt: int) -> dict[int, Prompt]:
        """The prompts that were sent for an attempt, by the number of the call.

        Where several attempts shared the first request, it is one of each of them.
        """
        rows = self._database.execute(
            "SELECT call, prompt FROM requests WHERE attempt = ?1 OR (call = 0 AND attempt = "
            "(SELECT leader FROM attempts WHERE id = ?1)) ORDER BY attempt, id",
            (attempt,),
        )
        prompts = dict(rows.fetchall())  # its own before its leader's, the last try before others
        return {call: _prompt(self._files(prompts[call])) for call in sorted(prompts)}

    def preflights(self, attempt: int) -> dict[int, Preflight]:
        """The stored pre-flights of an attempt by turn."""
        rows = self._database.execute(
            "SELECT turn, complaint, fingerprint, seconds FROM preflights WHERE attempt = ?",
            (attempt,),
        )
        return {turn: Preflight(*rest) for turn, *rest in rows}

    def costs(self, attempt: int | None = None) -> Iterator[tuple[str, Bound, Bill]]:
        """The model, the bound and the bill of every request, or of those of one attempt."""
        rows = self._database.execute(
            "SELECT r.model, r.prompt_bound, r.completion_bound, r.dollars_bound, c.answers, "
            "f.prompt_tokens, f.completion_tokens, f.dollars FROM requests r "
            "LEFT JOIN completions c ON c.attempt = r.attempt AND c.call = r.call "
            "AND c.request = r.id LEFT JOIN failures f ON f.request = r.id "
            + ("ORDER BY r.id" if attempt is None else "WHERE r.attempt = ? ORDER BY r.id"),
            () if attempt is None else (attempt,),
        )
        for model, prompt, completion, dollars, answers, *failed in rows:
            if answers is not None:
                bill = Bill().plus([Completion(**answer) for answer in json.loads(answers)])
            elif failed[0] is not None:
                bill = Bill(0, *failed)
            else:
                bill = Bill(unknown=1)
            yield model, Bound(prompt, completion, dollars), bill

    def preflight_counts(self) -> PreflightCounts:
        """What the pre-flights told, all together."""
        row = self._database.execute(
            "SELECT count(*), sum(turn = 0 AND attempt > 0 AND complaint != ''), "
            "sum(turn = 1 AND complaint = ''), sum(seconds) FROM preflights"
        ).fetchone()
        return PreflightCounts(*(value or 0 for value in row))

    def bills(self, attempt: int | None = None) -> dict[str, Bill]:
        """What requests cost, by the model's name: all of them, or those of one attempt."""
        bills: dict[str, Bill] = {}
        for model, _, bill in self.costs(attempt):
            bills[model] = bills.get(model, Bill()).and_(bill)
        return bills

    def bill(self) -> Bill:
        """What all requests cost together."""
        return reduce(Bill.and_, self.bills().values(), Bill())

    def sessions(self) -> list[Session]:
        """The stretches of work, in order."""
        begun: dict[int, list[int]] = {}
        finished: dict[int, list[int]] = {}
        for session, number in self._database.execute(
            "SELECT session, id FROM attempts ORDER BY id"
        ):
            begun.setdefault(session, []).append(number)
        for session, number in self._database.execute(
            "SELECT session, attempt FROM outcomes ORDER BY sequence"
        ):
            finished.setdefault(session, []).append(number)
        return [
            Session(id_, settings, tuple(begun.get(id_, ())), tuple(finished.get(id_, ())))
            for id_, settings in self._database.execute(
                "SELECT id, settings FROM sessions ORDER BY id"
            )
        ]

    def seconds(self) -> float:
        """How long the run was worked on: its sessions, each to its last sign of life."""
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

    def last_stop(self, before: int = 0) -> str | None:
        """Why a session ended, the last or one `before` it; None: killed, or still at work."""
        row = self._database.execute(
            "SELECT reason FROM stops WHERE session = (SELECT id FROM sessions ORDER BY id DESC "
            "LIMIT 1 OFFSET ?)",
            (before,),
        ).fetchone()
        return None if row is None else str(row[0])

    def _files(self, hashes: str) -> dict[str, bytes]:
        files = {}
        for path, key in json.loads(hashes).items():
            row = self._database.execute(
                "SELECT content FROM contents WHERE hash = ?", (key,)
            ).fetchone()
            files[path] = bytes(row[0])
        return files

    def _program(self, row: Sequence[Any]) -> Program:
        return Program(row[0], self._files(row[1]), row[2], tuple(json.loads(row[3])), *row[4:])

    def _evaluation(self, row: Sequence[Any]) -> Evaluation:
        return Evaluation(
            status=row[0],
            metrics=json.loads(row[1]),
            private=json.loads(row[2]),
            objectives=None if row[3] is None else tuple(json.loads(row[3])),
            features=json.loads(row[4]),
            feedback=row[5],
            artifacts=self._files(row[6]),
            seconds=row[7],
            stage=row[8],
            isolation=row[9],
            trusted=bool(row[10]),
            fault=row[11],
            evaluations=row[12],
            flags=tuple(json.loads(row[13])),
            fingerprint=row[14],
            memory=row[15],
        )


_EVALUATION = (
    "e.status, e.metrics, e.private, e.objectives, e.features, e.feedback, e.artifacts, "
    "e.seconds, e.stage, e.isolation, e.trusted, e.fault, e.evaluations, "
    "e.flags, e.fingerprint, e.memory"
)


def begin_facts(directory: Path, facts: Mapping[str, Any]) -> None:
    """Write the database of a new run, of which nothing but some facts is known.

    Args:
        directory: of the run.
        facts: what stays as it is, name -> value.
    """
    with contextlib.closing(connect(directory / DATABASE)) as database:
        migrate(database)
        database.executemany(
            "INSERT INTO facts VALUES (?, ?)",
            [(name, json.dumps(value)) for name, value in facts.items()],
        )
        database.commit()
        database.execute("PRAGMA journal_mode = WAL")


def _parts(prompt: Prompt) -> dict[str, bytes]:
    """Return a prompt as contents, of which each is stored once."""
    return {"system": _bytes(prompt.system), "user": _bytes(prompt.user)}


def _prompt(parts: Files) -> Prompt:
    return Prompt(parts["system"].decode(), parts["user"].decode())


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _text(text: str) -> str:
    """Return what SQLite can store: models and tracebacks may hold lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _new_session(database: sqlite3.Connection, version: str, settings: str) -> int:
    with database:
        cursor = database.execute(
            "INSERT INTO sessions VALUES (NULL, ?, ?, ?)", (time.time(), version, settings)
        )
    assert cursor.lastrowid is not None
    return cursor.lastrowid
