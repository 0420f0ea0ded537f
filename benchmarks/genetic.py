"""Measure the genetic operators: `python benchmarks/genetic.py [CHILDREN]`.

With `--knapsack` or `--jobs`, and `[SEEDS] [EVALUATIONS]`: see `ratios`.

A row for each operator and program: processor milliseconds a child, the share of contexts in which
a child was found, the share of children that are new among their siblings, that run without an
error, and of those the share that behave differently from the parent on fixed inputs. A second
table has a row for each kind of edit alone.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import random
import statistics
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import ratios
from genetic_programs import PROGRAMS
from inside import deadline

from evolver.errors import ProposalError
from evolver.operators.genetic import EDITS, Crossover, Mutate
from evolver.ports import Operator
from evolver.programs.filters import normalised_hash
from evolver.types import Brief, Context, Elite, Evaluation, Files, Program


def context(files: Files, seed: int, inspirations: list[Files]) -> Context:
    """Return what the engine would hand to an operator."""
    verdict = Evaluation("ok", objectives=(0.0,))
    others = [Elite(Program(i, each), verdict) for i, each in enumerate(inspirations, start=1)]
    parent = Elite(Program(0, files), verdict)
    return Context(Brief("", files), parent, others, random.Random(seed), lambda _: False)


def run(operator: Operator, at: Context) -> Files | None:
    """Return the proposal's files; a genetic operator never waits for anything."""
    coroutine = operator.propose(at)
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration as stop:
        files: Files = stop.value.files
        return files
    except ProposalError:
        return None
    raise AssertionError("a genetic operator awaited something")


def behaviour(source: bytes, inputs: list[Any]) -> str:
    """Return what `f` returns on each input, or how it fails. These children do no harm."""
    namespace: dict[str, Any] = {}
    results = []
    try:
        with deadline(0.2), contextlib.redirect_stdout(io.StringIO()):
            exec(compile(source, "f.py", "exec"), namespace)
            results = [repr(namespace["f"](each)) for each in deepcopy(inputs)]
    except (Exception, TimeoutError) as error:  # noqa: BLE001 - a child may raise anything
        return f"failed: {type(error).__name__}"
    return ";".join(results)


def measure(operator: Operator, name: str, count: int, grown: list[Files]) -> list[str]:
    """Return the cells of one row."""
    source, inputs = PROGRAMS[name]
    expected = behaviour(source, inputs)
    seconds, children = [], []
    for seed in range(count):
        at = context({"f.py": source}, seed, grown)
        start = time.process_time()
        child = run(operator, at)
        seconds.append(time.process_time() - start)
        if child is not None:
            children.append(child)
    found = [behaviour(child["f.py"], inputs) for child in children]
    new = len({normalised_hash(child) for child in children})

    def share(part: int, of: int) -> str:
        return f"{100 * part / max(of, 1):.0f} %"

    works = [each for each in found if not each.startswith("failed")]
    return [
        f"{statistics.median(seconds) * 1e3:.1f}",
        f"{statistics.quantiles(seconds, n=20)[-1] * 1e3:.1f}",
        share(len(children), count),
        share(new, len(children)),
        share(len(works), len(found)),
        share(sum(each != expected for each in works), len(works)),
    ]


def descendants(name: str) -> list[Files]:
    """Return programs to cross with: eight that run, as those of an archive do."""
    source, inputs = PROGRAMS[name]
    found: list[Files] = []
    for seed in itertools.count():
        child = run(Mutate(edits=(0, 0, 1)), context({"f.py": source}, seed, []))
        if child is not None and not behaviour(child["f.py"], inputs).startswith("failed"):
            found.append(child)
        if len(found) == 8:
            break
    return found


def table(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print(row[0].ljust(widths[0]), *cells, sep="  ")
    print()


def main(count: int) -> None:
    head = ["median ms", "95 % ms", "found", "new", "run", "differ"]
    rows = [["operator, program", *head]]
    grown = {name: descendants(name) for name in PROGRAMS}
    operators: dict[str, Callable[[], Operator]] = {
        "mutate": Mutate,
        "mutate, tuned": lambda: Mutate(tune=True),
        "crossover": Crossover,
    }
    for label, operator in operators.items():
        for name in PROGRAMS:
            rows.append([f"{label}, {name}", *measure(operator(), name, count, grown[name])])
    table(rows)
    rows = [["one edit, sort", *head]]
    for kind in EDITS:
        weights = {each: float(each == kind) for each in EDITS}
        alone = Mutate(weights=weights, edits=(1,), tries=5)
        rows.append([kind, *measure(alone, "sort", max(count // 4, 20), [])])
    table(rows)


if __name__ == "__main__":
    problem = next((each for each in ratios.PROBLEMS if f"--{each}" in sys.argv), None)
    if problem is not None:
        numbers = [int(each) for each in sys.argv[1:] if each.isdigit()]
        is_sandboxed = "--sandboxed" in sys.argv
        ratios.main(problem, *(numbers + [10, 2000][len(numbers) :]), is_sandboxed=is_sandboxed)
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
