"""The command `tasks`, which lists the tasks that evolver ships."""

from __future__ import annotations

from evolver.cli.options import Json
from evolver.cli.output import console, print_json, say


def tasks(as_json: Json = False) -> None:
    """List the tasks that evolver ships, with the published records.

    `evolver run examples/NAME` runs one from any directory, `evolver init --from NAME` copies one.
    """
    from dataclasses import asdict

    from rich.table import Table

    from evolver.checks.gallery import examples

    found = examples()
    if as_json:
        print_json(
            {
                "tasks": [
                    {
                        "name": example.name,
                        "title": example.title,
                        "metric": example.metric,
                        "direction": example.direction,
                        "records": dict(example.records),
                        "measured": example.measured and asdict(example.measured),
                    }
                    for example in found
                ]
            }
        )
        return
    table = Table(box=None, pad_edge=False)
    for column in ("task", "metric"):
        table.add_column(column)
    for column in ("seed", "reached", "published"):
        table.add_column(column, justify="right")
    table.add_column("by")
    for example in found:
        measured, record = example.measured, example.record
        table.add_row(
            example.name,
            f"{example.metric} {'up' if example.direction == 'maximize' else 'down'}",
            f"{measured.seed:.8g}" if measured else "",
            measured.reached(8) if measured else "",
            f"{record[1]:.8g}" if record else "",
            record[0] if record else "",
        )
    console().print(table)
    say("Run one: evolver run examples/NAME. Copy one: evolver init --from NAME.")
