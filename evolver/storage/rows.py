"""Convert records to rows of the tables and back, by the names of the columns.

`X_row` returns the columns of a record, except the session and the time, which the store adds.
`X_of` reads a record from a row.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from evolver.storage.contents import Contents
from evolver.storage.facts import Attempt, Confirmation, Outcome, Request, Round
from evolver.storage.totals import Bill
from evolver.types import Bound, Completion, Evaluation, Files, Preflight, Program, Prompt

Row = Mapping[str, Any]  # column -> value


def insert(database: sqlite3.Connection, table: str, row: Row, *, or_ignore: bool = False) -> int:
    """Add a row, and return its id. Columns that it does not name get their defaults.

    Args:
        database: open for writing.
        table: its name.
        row: the columns.
        or_ignore: do nothing if a row with the same key exists.
    """
    cursor = database.execute(_statement(table, tuple(row), or_ignore), tuple(row.values()))
    return cursor.lastrowid or 0


@cache
def _statement(table: str, columns: tuple[str, ...], or_ignore: bool) -> str:
    conflict = "OR IGNORE " if or_ignore else ""
    marks = ", ".join("?" * len(columns))
    return f"INSERT {conflict}INTO {table} ({', '.join(columns)}) VALUES ({marks})"


def select(
    database: sqlite3.Connection, query: str, parameters: Sequence[Any] = ()
) -> sqlite3.Cursor:
    """Run a query; its rows give columns by name."""
    cursor = database.cursor()
    cursor.row_factory = sqlite3.Row
    return cursor.execute(query, parameters)


# --- named facts ----------------------------------------------------------------------------------


def fact_row(name: str, value: Any) -> Row:
    """Return a named fact as a row of `facts`."""
    return {"name": name, "value": json.dumps(value)}


# --- attempts and outcomes ------------------------------------------------------------------------


def attempt_row(attempt: Attempt) -> Row:
    """Return an attempt as a row of `attempts`."""
    return {
        "id": attempt.id,
        "seen": attempt.seen,
        "operator": attempt.operator,
        "island": attempt.island,
        "parent": attempt.parent,
        "inspirations": json.dumps(attempt.inspirations),
        "reserved": attempt.reserved,
        "model": attempt.model,
        "leader": attempt.leader,
    }


def attempt_of(row: sqlite3.Row) -> Attempt:
    """Read an attempt from a row of `attempts`."""
    return Attempt(
        id=row["id"],
        seen=row["seen"],
        operator=row["operator"],
        island=row["island"],
        parent=row["parent"],
        inspirations=tuple(json.loads(row["inspirations"])),
        reserved=row["reserved"],
        model=row["model"],
        leader=row["leader"],
    )


def outcome_row(outcome: Outcome, contents: Contents) -> Row:
    """Return an outcome as a row of `outcomes`, without its program and its evaluation."""
    return {
        "attempt": outcome.attempt.id,
        "verdict": outcome.verdict,
        "reason": text(outcome.reason),
        "proposed": None if outcome.proposed is None else contents.keep(outcome.proposed),
        "summary": text(outcome.summary),
        "repair_failure": text(outcome.repair_failure),
    }


def outcome_of(
    row: sqlite3.Row,
    attempt: Attempt,
    program: Program | None,
    evaluation: Evaluation | None,
    contents: Contents,
) -> Outcome:
    """Read an outcome from a row of `outcomes` and the records of other tables."""
    return Outcome(
        attempt=attempt,
        verdict=row["verdict"],
        reason=row["reason"],
        program=program,
        evaluation=evaluation,
        proposed=None if row["proposed"] is None else contents.files(row["proposed"]),
        summary=row["summary"],
        repair_failure=row["repair_failure"],
    )


def program_row(program: Program, contents: Contents) -> Row:
    """Return a program as a row of `programs`."""
    return {
        "id": program.id,
        "files": contents.keep(program.files),
        "base": program.base,
        "parents": json.dumps(program.parents),
        "operator": program.operator,
        "island": program.island,
        "generation": program.generation,
        "summary": text(program.summary),
        "thought": text(program.thought),
    }


def program_of(row: sqlite3.Row, contents: Contents) -> Program:
    """Read a program from a row of `programs`."""
    return Program(
        id=row["id"],
        files=contents.files(row["files"]),
        base=row["base"],
        parents=tuple(json.loads(row["parents"])),
        operator=row["operator"],
        island=row["island"],
        generation=row["generation"],
        summary=row["summary"],
        thought=row["thought"],
    )


# --- evaluations and confirmations ----------------------------------------------------------------


def score_row(program: int, evaluation: Evaluation, contents: Contents) -> Row:
    """Return the search's evaluation of a program as a row of `evaluations`."""
    return {"program": program, "purpose": "score", **_evaluation_row(evaluation, contents)}


def confirmation_row(made: Confirmation, contents: Contents) -> Row:
    """Return a confirmation as a row of `evaluations`."""
    return {
        "program": made.program,
        "purpose": "confirmation",
        **_evaluation_row(made.evaluation, contents),
        "seen": made.seen,
        "begun": made.begun,
        "round": made.round,
        "repeat": made.repeat,
    }


def confirmation_of(row: sqlite3.Row, contents: Contents) -> Confirmation:
    """Read a confirmation from a row of `evaluations`."""
    return Confirmation(
        program=row["program"],
        evaluation=evaluation_of(row, contents),
        seen=row["seen"],
        begun=row["begun"],
        round=row["round"],
        repeat=row["repeat"],
    )


def _evaluation_row(evaluation: Evaluation, contents: Contents) -> Row:
    objectives = evaluation.objectives
    return {
        "status": evaluation.status,
        "metrics": json.dumps(dict(evaluation.metrics)),
        "private": json.dumps(dict(evaluation.private)),
        "objectives": None if objectives is None else json.dumps(objectives),
        "features": json.dumps(dict(evaluation.features)),
        "feedback": text(evaluation.feedback),
        "artifacts": contents.keep(evaluation.artifacts),
        "seconds": evaluation.seconds,
        "stage": evaluation.stage,
        "isolation": evaluation.isolation,
        "trusted": int(evaluation.trusted),
        "fault": evaluation.fault,
        "evaluations": evaluation.evaluations,
        "flags": json.dumps([text(flag) for flag in evaluation.flags]),
        "fingerprint": evaluation.fingerprint,
        "memory": evaluation.memory,
        "printed": text(evaluation.printed),
    }


def evaluation_of(row: sqlite3.Row, contents: Contents) -> Evaluation:
    """Read an evaluation from a row of `evaluations`."""
    objectives = row["objectives"]
    return Evaluation(
        status=row["status"],
        metrics=json.loads(row["metrics"]),
        private=json.loads(row["private"]),
        objectives=None if objectives is None else tuple(json.loads(objectives)),
        features=json.loads(row["features"]),
        feedback=row["feedback"],
        artifacts=contents.files(row["artifacts"]),
        seconds=row["seconds"],
        stage=row["stage"],
        isolation=row["isolation"],
        trusted=bool(row["trusted"]),
        fault=row["fault"],
        evaluations=row["evaluations"],
        flags=tuple(json.loads(row["flags"])),
        fingerprint=row["fingerprint"],
        memory=row["memory"],
        printed=row["printed"],
    )


def round_row(planned: Round) -> Row:
    """Return the plan of a round as a row of `rounds`."""
    return {
        "number": planned.number,
        "programs": json.dumps(planned.programs),
        "first": planned.first,
        "least": planned.least,
        "most": planned.most,
        "allowance": planned.allowance,
        "is_strict": int(planned.is_strict),
        "asked": planned.asked,
    }


def closing_row(closed: Round) -> Row:
    """Return the closing of a round as a row of `closings`."""
    return {
        "round": closed.number,
        "seen": closed.seen,
        "begun": closed.begun,
        "is_exact": int(closed.is_exact),
    }


def round_of(row: sqlite3.Row) -> Round:
    """Read a round from a row of `rounds`, joined with its row of `closings` if it is closed."""
    is_open = row["seen"] is None
    return Round(
        number=row["number"],
        programs=tuple(json.loads(row["programs"])),
        first=row["first"],
        least=row["least"],
        most=row["most"],
        allowance=row["allowance"],
        is_strict=bool(row["is_strict"]),
        asked=row["asked"],
        seen=-1 if is_open else row["seen"],
        begun=-1 if is_open else row["begun"],
        is_exact=bool(row["is_exact"]),
    )


# --- pre-flights ----------------------------------------------------------------------------------


def preflight_row(attempt: int, turn: int, made: Preflight) -> Row:
    """Return an attempt's pre-flight as a row of `preflights`."""
    return {
        "attempt": attempt,
        "turn": turn,
        "complaint": text(made.complaint),
        "fingerprint": made.fingerprint,
        "seconds": made.seconds,
    }


def preflight_of(row: sqlite3.Row) -> Preflight:
    """Read a pre-flight from a row of `preflights`."""
    return Preflight(row["complaint"], row["fingerprint"], row["seconds"])


# --- requests to models ---------------------------------------------------------------------------


def request_row(request: Request, number: int, contents: Contents) -> Row:
    """Return a request as a row of `requests`; `number` counts its tries, from 1."""
    prompt = {"system": _bytes(request.prompt.system), "user": _bytes(request.prompt.user)}
    return {
        "attempt": request.attempt,
        "call": request.call,
        "try": number,
        "model": request.model,
        "samples": request.samples,
        "prompt": contents.keep(prompt),
        "prompt_bound": request.bound.prompt_tokens,
        "completion_bound": request.bound.completion_tokens,
        "dollars_bound": request.bound.dollars,
    }


def prompt_of(parts: Files) -> Prompt:
    """Read a prompt from the contents that a row of `requests` refers to."""
    return Prompt(parts["system"].decode(), parts["user"].decode())


def bound_of(row: sqlite3.Row) -> Bound:
    """Read the upper bound of a request's cost from a row of `requests`."""
    return Bound(row["prompt_bound"], row["completion_bound"], row["dollars_bound"])


def answers_row(request: int, attempt: int, call: int, answers: Sequence[Completion]) -> Row:
    """Return the answers to a request as a row of `completions`."""
    return {
        "attempt": attempt,
        "call": call,
        "answers": json.dumps([asdict(answer) for answer in answers]),
        "request": request,
    }


def answers_of(row: sqlite3.Row) -> tuple[Completion, ...]:
    """Read the answers to a request from a row of `completions`."""
    return tuple(Completion(**answer) for answer in json.loads(row["answers"]))


def failure_row(request: int, reason: str, cost: Completion | None) -> Row:
    """Return a failed request as a row of `failures`; a cost of None is unknown."""
    return {
        "request": request,
        "reason": text(reason),
        "prompt_tokens": None if cost is None else cost.prompt_tokens,
        "completion_tokens": None if cost is None else cost.completion_tokens,
        "dollars": None if cost is None else cost.dollars,
    }


def bill_of(row: sqlite3.Row) -> Bill:
    """Read the cost of a request from its row joined with `completions` and `failures`."""
    if row["answers"] is not None:
        return Bill.of_answers(answers_of(row))
    if row["prompt_tokens"] is not None:
        return Bill(0, row["prompt_tokens"], row["completion_tokens"], row["dollars"])
    return Bill(unknown=1)


# --- text -----------------------------------------------------------------------------------------


def text(said: str) -> str:
    """Replace lone surrogates, which SQLite cannot store; answers and tracebacks may have them."""
    return _bytes(said).decode("utf-8")


def _bytes(said: str) -> bytes:
    return said.encode("utf-8", "replace")
