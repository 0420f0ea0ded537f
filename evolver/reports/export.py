"""Export the programs of a run as CSV or JSON lines, with metrics and parents."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

from evolver.search.evidence import Evidence
from evolver.storage.facts import Outcome
from evolver.types import Files
from evolver.wording import visible, visible_json

_COLUMNS = (
    "id", "parents", "operator", "model", "island", "generation", "verdict", "status", "summary",
    "feedback", "seconds", "isolation", "trusted", "evaluations", "memory",
    "flags",
)  # fmt: skip


def records(
    outcomes: Iterable[Outcome], evidence: Evidence | None = None
) -> Iterator[dict[str, Any]]:
    """Yield a record of every stored program, in commit order.

    Programs that a filter rejected are not stored. `metrics` are the search's single measurement,
    `confirmed` the means of repeated ones, if `evidence` has any.
    """
    known = {} if evidence is None else evidence.confirmed
    for outcome in outcomes:
        program, evaluation = outcome.program, outcome.evaluation
        if program is None:
            continue
        record: dict[str, Any] = {
            "id": program.id,
            "parents": list(program.parents),
            "operator": program.operator,
            "model": outcome.attempt.model,
            "island": program.island,
            "generation": program.generation,
            "verdict": outcome.verdict,
            "summary": program.summary,
            "thought": program.thought,
            "files": _texts(program.files),
        }
        if evaluation is not None:
            record |= {
                "status": evaluation.status,
                "metrics": dict(evaluation.metrics),
                "confirmed": dict(known[program.id].metrics) if program.id in known else {},
                "private": dict(evaluation.private),
                "features": dict(evaluation.features),
                "feedback": evaluation.explanation,
                "seconds": evaluation.seconds,
                "isolation": evaluation.isolation,
                "trusted": evaluation.trusted,
                "evaluations": evaluation.evaluations,
                "memory": evaluation.memory,
                "flags": list(evaluation.flags),
            }
        yield record


def _texts(files: Files) -> dict[str, Any]:
    """Return files as text, or as {"base64": ...} where they are not UTF-8."""
    texts: dict[str, Any] = {}
    for path, content in files.items():
        try:
            texts[path] = content.decode("utf-8")
        except UnicodeDecodeError:
            texts[path] = {"base64": base64.b64encode(content).decode("ascii")}
    return texts


def write_jsonl(
    outcomes: Iterable[Outcome], stream: IO[str], evidence: Evidence | None = None
) -> int:
    """Write one JSON object a line, with file contents; return the number of programs."""
    count = 0
    for record in records(outcomes, evidence):
        stream.write(visible_json(json.dumps(record, ensure_ascii=False)) + "\n")
        count += 1
    return count


def write_csv(outcomes: Sequence[Outcome], stream: IO[str]) -> int:
    """Write a table with a column for each metric; return the number of programs.

    Private metrics are in columns `private:name`, features in `feature:name`; parents are separated
    by spaces. It has no file contents and no confirmed values, so a program's row never changes.
    """
    groups = (("", "metrics"), ("private:", "private"), ("feature:", "features"))
    rows, names = [], dict[str, None]()  # a dict keeps the order
    for record in records(outcomes):
        row = {column: record.get(column, "") for column in _COLUMNS}
        row["parents"] = " ".join(str(parent) for parent in record["parents"])
        for prefix, group in groups:
            for name, value in record.get(group, {}).items():
                # A metric may have the name of a column.
                heading = f"metric:{name}" if prefix + name in _COLUMNS else prefix + name
                names[heading] = None
                row[heading] = repr(value)
        rows.append(row)
    writer = csv.DictWriter(stream, [*_COLUMNS, *names], restval="", lineterminator="\n")
    writer.writerow({name: visible(name) for name in writer.fieldnames})
    writer.writerows({name: visible(str(value)) for name, value in row.items()} for row in rows)
    return len(rows)
