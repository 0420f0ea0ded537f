"""Run shipped tasks by the commands that their pages name, and write down what came out.

    python benchmarks/examples.py                       # all of them: about two hours on two cores
    python benchmarks/examples.py uncertainty cap-set   # some
    python benchmarks/examples.py cap-set --seconds 60  # other options go to `evolver run`
    python benchmarks/examples.py --again               # measure what is stored three times more
    python benchmarks/examples.py --rates               # how many evaluations a second: ten minutes
    python benchmarks/examples.py --tables              # only rewrite the pages

For each it writes `measured.json`, the best program (of several objectives the front's) as `best/`
unless it is the seed, the measured part of its README, and at the end the table of
examples/README.md. Everything shown
there comes from here. A task that cannot run on this machine is named and left out.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from evolver.bundled import bundled
from evolver.checks.gallery import HYPERVOLUME, MEASURED, Example, Measured, examples
from evolver.runs.judging import judge
from evolver.runs.run import Run
from evolver.tasks.task import Task
from evolver.types import Files

START, END = "<!-- measured -->", "<!-- end -->"


@contextmanager
def run(example: Example, options: list[str]) -> Iterator[tuple[Run, str] | None]:
    """Run an example with seed 1; give the run and its command, None where it does not start."""
    command = ["evolver", "run", f"examples/{example.name}", "--seed", "1", *options]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        root = bundled("examples").parent
        again = [sys.executable, "-m", *command, "--out", str(out)]
        done = subprocess.run(again, cwd=root, check=False, capture_output=True, text=True)
        if done.returncode:
            print(f"{example.name}: {done.stderr.strip()}", flush=True)
            yield None
        else:
            yield Run.open(out), shlex.join(command)


def measure(example: Example, options: list[str]) -> None:
    """Run an example and store what it gave."""
    with run(example, options) as ran:
        if ran is not None:
            write(example, *ran)


def write(example: Example, found: Run, command: str) -> None:
    """Store what a run gave."""
    seed = found.elites[0]
    several = example.metric == HYPERVOLUME
    if several:
        values = [found.objective.score([seed.objectives]), found.score]
    else:
        values = [one.evaluation.metrics[example.metric] for one in (seed, found.front[0])]
    reached = found.front if several else found.front[:1]
    is_seed = all(elite.program.files == seed.program.files for elite in reached)
    written = Measured(
        seed=values[0],
        best=None if is_seed else values[1],
        evaluations=found.evaluations,
        seconds=round(found.seconds, 1),
        command=command,
        date=datetime.now(UTC).date().isoformat(),
        rate=example.measured.rate if example.measured else None,
        front=[
            {name: elite.evaluation.metrics[name] for name in found.objective.names}
            for elite in found.front
            if several
        ],
    )
    store(example, written)
    best = example.task.root / "best"
    shutil.rmtree(best, ignore_errors=True)
    for number, elite in enumerate(() if is_seed else reached, 1):
        for path, content in elite.program.files.items():
            target = best / str(number) / path if several else best / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    print(f"{example.name:28} {written.seed:12.8g} {written.reached(8):>12} "
          f"{written.evaluations:6} {written.seconds:6.0f} s", flush=True)  # fmt: skip


def measure_again(example: Example) -> None:
    """Store what the seed and the stored programs give when they are measured three times more."""
    measured, task = example.measured, example.task
    if measured is None or measured.best is None:
        return
    best = task.root / "best"
    folders = [best / str(number) for number in range(1, len(measured.front) + 1)] or [best]
    found = [{name: (folder / name).read_bytes() for name in task.files} for folder in folders]
    scores = [score_again(task, programs) for programs in ([task.files], found)]
    if example.direction == "minimize":
        scores = [-score for score in scores]
    store(example, replace(measured, again=scores))
    print(f"{example.name:28} {scores[0]:12.8g} {scores[1]:12.8g} again", flush=True)


def score_again(task: Task, programs: Sequence[Files]) -> float:
    """Return the score of programs together, each with the means of three evaluations."""
    points = []
    for files in programs:
        verdicts = [judge(task, files).objectives for _ in range(3)]
        passed = [verdict for verdict in verdicts if verdict is not None]
        if passed:
            points.append(tuple(map(statistics.fmean, zip(*passed, strict=True))))
    score = task.objective.score(points)
    assert score is not None
    return score


def measure_rate(example: Example) -> None:
    """Store how many evaluations a second the first ten seconds of a run give."""
    with run(example, ["--seconds", "10"]) as ran:
        if ran is None or example.measured is None:
            return
        rate = ran[0].evaluations / ran[0].seconds
    store(example, replace(example.measured, rate=round(rate, 1)))
    print(f"{example.name:28} {rate:6.1f} a second", flush=True)


def store(example: Example, measured: Measured) -> None:
    """Write measured.json."""
    content = json.dumps(asdict(measured), indent=2) + "\n"
    (example.task.root / MEASURED).write_text(content)


def rewrite(example: Example) -> None:
    """Put the figures into the example's page, between the two marks."""
    page = example.task.root / "README.md"
    text = page.read_text("utf-8")
    if START not in text or example.measured is None:
        return
    measured = example.measured
    if measured.best is None:
        where = "No program was better than the seed."
    else:
        where = f"The {'programs are' if measured.front else 'program is'} in [best/](best)."
    lines = [
        f"| `{example.metric}` | |",
        "|---|---|",
        *(f"| {who} | {value:.10g} |" for who, value in example.records.items()),
        f"| the seed | {measured.seed:.10g} |",
        f"| reached here, without a model | {measured.reached(10)} |",
        *again_of(measured, "| both measured three times more, means | {} |"),
        "",
        *front_of(measured),
        f"By `{measured.command}`: {counted(measured.evaluations)} in {measured.seconds:.0f} s "
        f"on two cores, {measured.date}. {where}",
    ]
    head, _, rest = text.partition(START)
    page.write_text(f"{head}{START}\n" + "\n".join(lines) + f"\n{END}" + rest.partition(END)[2])


def counted(evaluations: int) -> str:
    return "1 evaluation" if evaluations == 1 else f"{evaluations} evaluations"


def again_of(measured: Measured, form: str) -> list[str]:
    """Return the two later measurements in this form, where they are others than the first."""
    if measured.again is None or measured.best is None:
        return []
    pairs = zip(measured.again, (measured.seed, measured.best), strict=True)
    if all(math.isclose(new, old, rel_tol=1e-9) for new, old in pairs):
        return []
    return [form.format("{:.4g}, {:.4g}".format(*measured.again))]


def front_of(measured: Measured) -> list[str]:
    """Return the front of a run with several objectives as a table."""
    if not measured.front:
        return []
    names = list(measured.front[0])
    return [
        f"| program | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
        *(
            f"| {number} | {' | '.join(f'{point[name]:.6g}' for name in names)} |"
            for number, point in enumerate(measured.front, 1)
        ),
        "",
    ]


def table(found: list[Example]) -> str:
    """Return the rows of examples/README.md."""
    rows = [
        "| task | metric | seed | best known | reached | seed, reached again | evaluations "
        "| seconds | a second | `evolver run examples/`... |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for example in found:
        measured, record = example.measured, example.record
        arrow = "up" if example.direction == "maximize" else "down"
        cells = [""] * 6
        if measured is not None:
            cells = [
                measured.reached(8),
                "".join(again_of(measured, "{}")),
                str(measured.evaluations),
                f"{measured.seconds:.0f}",
                f"{measured.rate or measured.evaluations / measured.seconds:.3g}",
                f"`{measured.command.removeprefix('evolver run examples/')}`",
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
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--rates", action="store_true")
    arguments, options = parser.parse_known_args()
    for example in examples():
        wanted = not arguments.names or example.name in arguments.names
        if not wanted or arguments.tables:
            continue
        if arguments.again:
            measure_again(example)
        elif arguments.rates:
            measure_rate(example)
        else:
            measure(example, options)
    found = list(examples())
    for example in found:
        rewrite(example)
    page = bundled("examples") / "README.md"
    text = page.read_text("utf-8")
    head, _, rest = text.partition(START)
    page.write_text(f"{head}{START}\n{table(found)}\n{END}" + rest.partition(END)[2])


if __name__ == "__main__":
    main()
