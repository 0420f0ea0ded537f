"""Known optimisers on the growing networks of examples/optimiser: does their order change?

    python benchmarks/funnel.py                 # a quarter of an hour on one core
    python benchmarks/funnel.py --write         # and store it as evaluators/optimiser/measured.csv
    python benchmarks/funnel.py --run RUN       # measure what a run kept once more, at each stage

Each has the best of many learning rates, a factor of 2 apart, by the mean over the seeds of the
loss on the validation part. All train the same networks on the same batches. With `--run`, each
program that was the best one of the run for a while is measured on draws that no search has seen,
in the sandbox: the first stage at which gains vanish is where the search fits the small networks.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from evolver.bundled import bundled
from evolver.evaluator import guest_files
from evolver.plugins import load_module
from evolver.runs import Run
from evolver.sandboxes.local import LocalSandbox
from evolver.sandboxes.settings import SandboxSettings
from evolver.task import load_task

FOLDER = bundled("evaluators") / "optimiser"
MODULE = load_module(FOLDER)
RATES = tuple(round(1e-4 * 2**k, 6) for k in range(13))  # up to 0.4
KNOWN = ("sgd", "adamw", "lion", "sign")


@dataclass(frozen=True)
class Row:
    """One optimiser at one stage; losses are geometric means over the seeds, in nats."""

    stage: str
    optimiser: str
    rate: float
    loss: float
    held_out_loss: float
    gained: float  # percent below AdamW's loss
    error: float  # standard error of `gained`, over the seeds
    held_out_gained: float
    seeds: int


def stages() -> Mapping[str, Mapping[str, Any]]:
    """Return the evaluator's settings at each stage of the example."""
    settings = load_task(bundled("examples") / "optimiser").settings
    return {stage.name: {**settings.evaluator.with_, **stage.with_} for stage in settings.stage}


def compared(stage: str, settings: Mapping[str, Any], seeds: int) -> Iterator[Row]:
    """Train by each of KNOWN at each of RATES."""
    evaluator = MODULE.Evaluator(**{**settings, "rates": (1.0,), "seeds": seeds})
    course = evaluator.course(Random(f"funnel/{stage}"))
    found = {}
    for name in KNOWN:
        train = load_module(FOLDER / "known" / f"{name}.py").train
        each = []
        for rate in RATES:
            one = replace(course, rates=(rate,))
            each.append(one.losses(one.taken_by(train)))
            print(f"{stage} {name} {rate:g}", each[-1].validation.ravel(), file=sys.stderr)
        validation, held_out = (
            np.stack([getattr(losses, part)[:, 0] for losses in each])
            for part in ("validation", "held_out")
        )
        best = int(validation.mean(axis=1).argmin())
        found[name] = RATES[best], validation[best], held_out[best]
    for name, (rate, validation, held_out) in found.items():
        _, adamw, held_out_adamw = found["adamw"]
        ahead = adamw - validation
        yield Row(
            stage,
            name,
            rate,
            float(np.exp(validation.mean())),
            float(np.exp(held_out.mean())),
            100 * (1 - float(np.exp(-ahead.mean()))),
            100 * float(ahead.std(ddof=1)) / seeds**0.5,
            100 * (1 - float(np.exp(held_out.mean() - held_out_adamw.mean()))),
            seeds,
        )


def once_more(run: Run, draws: int) -> None:
    """Measure each program that was the best of a run once more, at each stage."""
    best: list[Any] = []
    for elite in run.elites:
        if not best or elite.objectives > best[-1].objectives:
            best.append(elite)
    print("| program | gained in the run | " + " | ".join(stages()) + " |")
    print("|---" * (2 + len(stages())) + "|")
    for elite in best:
        cells = [str(elite.program.id), f"{elite.objectives[0]:+.1f}"]
        for stage, settings in stages().items():
            evaluator = MODULE.Evaluator(**settings)
            gains = []
            with closing(
                LocalSandbox(SandboxSettings(preload=("numpy",)), guest=guest_files(evaluator))
            ) as sandbox:
                for draw in range(draws):
                    with sandbox.open(
                        elite.program, seed=Random(f"{stage}/{draw}").getrandbits(32), timeout=600.0
                    ) as candidate:
                        result = evaluator.evaluate(candidate)
                    gains.append((result.metrics["gained"], result.private["held_out_gained"]))
            mean = np.mean(gains, axis=0)
            error = np.std(gains, axis=0, ddof=1)[0] / draws**0.5 if draws > 1 else np.nan
            cells.append(f"{mean[0]:+.1f} ± {error:.1f} ({mean[1]:+.1f})")
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--stages", nargs="*", default=list(stages()))
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--run", type=Path)
    arguments = parser.parse_args()
    if arguments.run is not None:
        once_more(Run.open(arguments.run), arguments.seeds)
        return
    rows = []
    for stage in arguments.stages:
        found = sorted(compared(stage, stages()[stage], arguments.seeds), key=lambda row: row.loss)
        rows += found
        for row in found:
            print(f"{row.stage} {row.optimiser:6} rate {row.rate:<8g} loss {row.loss:.4f} "
                  f"held-out {row.held_out_loss:.4f} gained {row.gained:+.1f} ± {row.error:.1f} "
                  f"(held-out {row.held_out_gained:+.1f})", flush=True)  # fmt: skip
    if arguments.write:
        with (FOLDER / "measured.csv").open("w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(Row.__dataclass_fields__)
            writer.writerows(
                [f"{x:.5g}" if isinstance(x, float) else x for x in vars(row).values()]
                for row in rows
            )


if __name__ == "__main__":
    main()
