"""Run shipped tasks by the commands that their pages name, and write down what came out.

    python benchmarks/examples.py                       # all of them: about an hour on two cores
    python benchmarks/examples.py uncertainty cap-set   # some
    python benchmarks/examples.py --tables              # only rewrite the pages

For each it writes `measured.json`, the best program as `best/`, the measured part of its README,
and at the end the table of examples/README.md. Everything shown there comes from here.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from evolver.bundled import bundled
from evolver.gallery import MEASURED, Example, Measured, examples, load
from evolver.runs import Run

START, END = "<!-- measured -->", "<!-- end -->"


def measure(example: Example, options: list[str]) -> None:
    """Run an example and store what it gave."""
    command = ["evolver", "run", f"examples/{example.name}", "--seed", "1", *options]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        root = bundled("examples").parent
        again = [sys.executable, "-m", *command, "--out", str(out)]
        subprocess.run(again, cwd=root, check=True, stdout=subprocess.DEVNULL)
        run = Run.open(out)
        assert run.best is not None
        found = Measured(
            seed=run.elites[0].evaluation.metrics[example.metric],
            best=run.best.evaluation.metrics[example.metric],
            evaluations=run.evaluations,
            seconds=round(run.seconds, 1),
            command=shlex.join(command),
            date=datetime.now(UTC).date().isoformat(),
        )
        program = run.best.program.files
    (example.task.root / MEASURED).write_text(json.dumps(asdict(found), indent=2) + "\n")
    best = example.task.root / "best"
    best.mkdir(exist_ok=True)
    for path, content in program.items():
        (best / path).parent.mkdir(parents=True, exist_ok=True)
        (best / path).write_bytes(content)


def rewrite(example: Example) -> None:
    """Put the figures into the example's page, between the two marks."""
    page = example.task.root / "README.md"
    text = page.read_text("utf-8")
    if START not in text or example.measured is None:
        return
    measured = example.measured
    lines = [
        f"| `{example.metric}` | |",
        "|---|---|",
        *(f"| {who} | {value:.10g} |" for who, value in example.records.items()),
        f"| the seed | {measured.seed:.10g} |",
        f"| reached here, without a model | {measured.best:.10g} |",
        "",
        f"By `{measured.command}`: {measured.evaluations} evaluations in {measured.seconds:.0f} s "
        f"on two cores, {measured.date}. The program is in [best/](best).",
    ]
    head, _, rest = text.partition(START)
    page.write_text(f"{head}{START}\n" + "\n".join(lines) + f"\n{END}" + rest.partition(END)[2])


def table(found: list[Example]) -> str:
    """Return the rows of examples/README.md."""
    rows = [
        "| task | metric | seed | published best | reached | evaluations | seconds | a second |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for example in found:
        measured, record = example.measured, example.record
        arrow = "up" if example.direction == "maximize" else "down"
        cells = ["", "", "", ""]
        if measured is not None:
            cells = [
                f"{measured.best:.8g}",
                str(measured.evaluations),
                f"{measured.seconds:.0f}",
                f"{measured.evaluations / measured.seconds:.0f}",
            ]
        cells = [
            f"[{example.name}]({example.name})",
            f"{example.metric}, {arrow}",
            f"{measured.seed:.8g}" if measured else "",
            f"{record[1]:.10g} ({record[0]})" if record else "",
            *cells,
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--tables", action="store_true")
    arguments, options = parser.parse_known_args()
    for example in examples():
        wanted = not arguments.names or example.name in arguments.names
        if wanted and not arguments.tables:
            measure(example, options)
            again = load(example.task.root)
            assert again.measured is not None
            print(f"{again.name:28} {again.measured.seed:12.8g} {again.measured.best:12.8g} "
                  f"{again.measured.seconds:6.0f} s", flush=True)  # fmt: skip
    found = list(examples())
    for example in found:
        rewrite(example)
    page = bundled("examples") / "README.md"
    text = page.read_text("utf-8")
    head, _, rest = text.partition(START)
    page.write_text(f"{head}{START}\n{table(found)}\n{END}" + rest.partition(END)[2])


if __name__ == "__main__":
    main()
