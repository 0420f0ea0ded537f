"""Known optimisers on the growing networks of examples/optimiser: does their order change?

    python benchmarks/funnel.py                 # some five minutes on one idle core
    python benchmarks/funnel.py --stages A B    # a quarter of one
    python benchmarks/funnel.py --write         # and store it as evaluators/optimiser/measured.csv
    python benchmarks/funnel.py --run RUN       # measure what a run kept once more, at each stage
    python benchmarks/funnel.py --programs mine.py    # and yours

Each has the best of many learning rates, a factor of 2 apart, by the mean over the seeds of the
loss on the validation part. All train the same networks on the same batches. With `--run`, each
program that was the best one of the run for a while is measured on draws that no search has seen,
in the sandbox, at the rates of the example (in brackets, on held-out images): the first stage at
which gains vanish is where the search fits the small networks. D is beyond what the funnel has:
networks of 42,634 weights, 1,500 steps.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from evolver.bundled import bundled
from evolver.evaluation.evaluator import guest_files
from evolver.runs.run import Run
from evolver.sandboxes.local import LocalSandbox
from evolver.sandboxes.settings import SandboxSettings
from evolver.tasks.plugins import load_module
from evolver.tasks.task import load_task
from evolver.types import Program

FOLDER = bundled("evaluators") / "optimiser"
MODULE = load_module(FOLDER)
RATES = tuple(round(1e-4 * 2**k, 6) for k in range(13))  # up to 0.4
SEEDS = {"A": 8, "B": 8, "C": 6, "D": 3}
#: Which of them each gets; the best one lies within at every stage, or it is said.
KNOWN = {"sgd": RATES[6:], "adamw": RATES[2:10], "lion": RATES[1:9], "sign": RATES[1:9]}


@dataclass(frozen=True)
class Row:
    """One optimiser at one stage; losses are geometric means over the seeds, in nats."""

    stage: str
    hidden: str
    steps: int
    batch: int
    noise: float
    rates: str  # of the evaluator at that stage, which the known ones' grids go beyond
    optimiser: str
    rate: float
    loss: float
    held_out_loss: float
    gained: float  # percent below AdamW's loss
    error: float  # standard error of `gained`, over the seeds
    held_out_gained: float
    seeds: int


def stages() -> Mapping[str, Mapping[str, Any]]:
    """Return the evaluator's settings at each stage of the example, and at one beyond them: D."""
    settings = load_task(bundled("examples") / "optimiser").settings
    own = settings.evaluator.with_
    found = {stage.name: {**own, **stage.with_} for stage in settings.stage}
    return {**found, "D": {**own, "hidden": (128, 128, 128), "steps": 1500}}


def compared(stage: str, settings: Mapping[str, Any], seeds: int) -> Iterator[Row]:
    """Train by each of KNOWN at each of its rates."""
    evaluator = MODULE.Evaluator(**{**settings, "rates": (1.0,), "seeds": seeds})
    course = evaluator.course(Random(f"funnel/{stage}"))
    found = {}
    for name, rates in KNOWN.items():
        train = load_module(FOLDER / "known" / f"{name}.py").train
        each = []
        for rate in rates:
            one = replace(course, rates=(rate,))
            each.append(one.losses(one.taken_by(train)))
        validation, held_out = (
            np.stack([getattr(losses, part)[:, 0] for losses in each])
            for part in ("validation", "held_out")
        )
        best = int(validation.mean(axis=1).argmin())
        if best in (0, len(rates) - 1):
            print(f"{stage} {name}: the best rate is at the edge of its grid", file=sys.stderr)
        found[name] = rates[best], validation[best], held_out[best]
    for name, (rate, validation, held_out) in found.items():
        _, adamw, held_out_adamw = found["adamw"]
        ahead = adamw - validation
        yield Row(
            stage,
            " ".join(map(str, evaluator.hidden)),
            evaluator.steps,
            evaluator.batch,
            evaluator.noise,
            " ".join(map(str, settings["rates"])),
            name,
            rate,
            float(np.exp(validation.mean())),
            float(np.exp(held_out.mean())),
            100 * (1 - float(np.exp(-ahead.mean()))),
            100 * float(ahead.std(ddof=1)) / seeds**0.5,
            100 * (1 - float(np.exp(held_out.mean() - held_out_adamw.mean()))),
            seeds,
        )


def kept(run: Run) -> Mapping[str, Program]:
    """Return each program but the seed that was the best of a run for a while, by its name."""
    best = [run.elites[0]]
    for elite in run.elites.values():
        if elite.objectives > best[-1].objectives:
            best.append(elite)
    return {f"{e.program.id}, in the run {e.objectives[0]:+.1f}": e.program for e in best[1:]}


def once_more(programs: Mapping[str, Program], names: Sequence[str], draws: int) -> None:
    """Measure programs on fresh draws, the same for all, at each stage."""
    print(f"| program | {' | '.join(names)} |")
    print("|---" * (1 + len(names)) + "|")
    for title, program in programs.items():
        cells = [title]
        for name in names:
            gains = [gains_of(program, name, draw) for draw in range(draws)]
            (gained, held_out), (error, _) = np.mean(gains, axis=0), np.std(gains, axis=0)
            cells.append(f"{gained:+.1f} ± {error / draws**0.5:.1f} ({held_out:+.1f})")
        print(f"| {' | '.join(cells)} |", flush=True)


def gains_of(program: Program, stage: str, draw: int) -> tuple[float, float]:
    """Return what a program gains on one draw at a stage: validation, held-out."""
    evaluator = MODULE.Evaluator(**stages()[stage])
    sandbox = LocalSandbox(SandboxSettings(preload=("numpy",)), guest=guest_files(evaluator))
    seed = Random(f"once more/{stage}/{draw}").getrandbits(32)
    with closing(sandbox), sandbox.open(program, seed=seed, timeout=600.0) as candidate:
        result = evaluator.evaluate(candidate)
    return result.metrics["gained"], result.private["held_out_gained"]


def write(rows: Sequence[Row]) -> None:
    """Store rows; those of other stages stay."""
    stored = FOLDER / "measured.csv"
    others: list[list[str]] = []
    if stored.is_file():
        with stored.open(newline="") as stream:
            others = list(csv.reader(stream))[1:]
    measured = {row.stage for row in rows}
    lines = [row for row in others if row[0] not in measured] + [
        [f"{value:.5g}" if isinstance(value, float) else value for value in vars(row).values()]
        for row in rows
    ]
    with stored.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(Row.__dataclass_fields__)
        writer.writerows(sorted(lines, key=lambda line: line[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, help="trainings at each rate, or draws of --run")
    parser.add_argument("--stages", nargs="*", default=list(stages()))
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--programs", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    programs = {
        path.name: Program(0, {"optimiser.py": path.read_bytes()}) for path in arguments.programs
    }
    if arguments.run is not None:
        programs |= kept(Run.open(arguments.run))
    if programs:
        once_more(programs, arguments.stages, arguments.seeds or 4)
        return
    rows = []
    for stage in arguments.stages:
        seeds = arguments.seeds or SEEDS[stage]
        found = sorted(compared(stage, stages()[stage], seeds), key=lambda row: row.loss)
        rows += found
        for row in found:
            print(f"{row.stage} {row.optimiser:6} rate {row.rate:<8g} loss {row.loss:.4f} "
                  f"held-out {row.held_out_loss:.4f} gained {row.gained:+.1f} ± {row.error:.1f} "
                  f"(held-out {row.held_out_gained:+.1f})", flush=True)  # fmt: skip
    if arguments.write:
        write(rows)


if __name__ == "__main__":
    main()
