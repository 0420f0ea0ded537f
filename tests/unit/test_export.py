"""Exports hold every program and read back."""

from __future__ import annotations

import csv
import io
import json

from evolver.reports.export import write_csv, write_jsonl
from evolver.search.evidence import Evidence, Verdict
from evolver.storage.facts import Attempt, Confirmation, Outcome, Round
from evolver.types import Evaluation, Program


def outcome(id_: int, files: dict[str, bytes], evaluation: Evaluation | None) -> Outcome:
    program = Program(id_, files, parents=(0, 1) if id_ else (), summary='a, b\n"c"')
    return Outcome(Attempt(id_, id_, "op", 0, None), "evaluated", "", program, evaluation)


OUTCOMES = [
    outcome(0, {"a.py": "x = 'é'\n".encode()}, Evaluation("ok", {"score": 0.1, "seconds": 3.0})),
    outcome(1, {"a.bin": b"\xff\x00"}, Evaluation("crashed", feedback="boom")),
    outcome(2, {"a.py": b""}, Evaluation("ok", {"score": 1e-17}, private={"held": 2.0})),
    Outcome(Attempt(3, 3, "op", 0, 0), "unproposed", "no child"),
]


def test_jsonl_holds_programs_and_lineage() -> None:
    stream = io.StringIO()
    assert write_jsonl(OUTCOMES, stream) == 3
    first, second, third = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert first["files"] == {"a.py": "x = 'é'\n"}
    assert second["files"] == {"a.bin": {"base64": "/wA="}}
    assert second["status"] == "crashed"
    assert third["parents"] == [0, 1]
    assert third["metrics"] == {"score": 1e-17}


def test_csv_has_a_column_for_each_metric() -> None:
    stream = io.StringIO(newline="")
    assert write_csv(OUTCOMES, stream) == 3
    rows = list(csv.DictReader(io.StringIO(stream.getvalue(), newline="")))
    assert [row["id"] for row in rows] == ["0", "1", "2"]
    assert [row["score"] for row in rows] == ["0.1", "", "1e-17"]
    assert rows[0]["metric:seconds"] == "3.0"
    assert rows[0]["seconds"] == "0.0"
    assert rows[2]["private:held"] == "2.0"
    assert rows[2]["parents"] == "0 1"
    assert rows[2]["summary"] == 'a, b\n"c"'


def test_what_was_measured_again_stands_beside_what_was_measured_once() -> None:
    again = Evaluation("ok", {"score": 0.3}, objectives=(0.3,))
    found = Evidence()
    rows = [Confirmation(2, again, 3, 3, 1, 0)]
    found.add(Verdict.of(Round(1, (2, 0), 1, 1, 1, seen=3, begun=3), rows))
    stream = io.StringIO()
    write_jsonl(OUTCOMES, stream, found)
    first, _, third = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (first["confirmed"], third["confirmed"]) == ({}, {"score": 0.3})
    assert third["metrics"] == {"score": 1e-17}
