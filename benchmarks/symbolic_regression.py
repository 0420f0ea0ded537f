"""Which laws evolution without a model finds, each from a straight line.

    python benchmarks/symbolic_regression.py                  # all of them: about ten minutes
    python benchmarks/symbolic_regression.py kepler damped    # some
    python benchmarks/symbolic_regression.py --evaluations 500 --seed 2

A law counts as found where the best formula has 8 digits beyond the points as well.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np

import evolver
from evolver.bundled import bundled
from evolver.tasks.plugins import load_module

MODULE = load_module(bundled("evaluators") / "symbolic_regression")
NAMES = {1: "x", 2: "a, m", 3: "m, v, c"}  # of a law's inputs
FOUND = 8.0  # digits
PROGRAM = """import math


def formula({arguments}):
    # EVOLVE-BLOCK-START
    return {line}
    # EVOLVE-BLOCK-END
"""


def seed_of(law: str) -> str:
    """Return the program of the plane that fits best."""
    points = MODULE.Evaluator(law=law).fitted
    names = NAMES[len(points.inputs)]
    table = np.column_stack([np.ones_like(points.wanted), *points.inputs])
    start, *slopes = np.linalg.lstsq(table, points.wanted, rcond=None)[0].round(3).tolist()
    terms = [f"{slope} * {name}" for slope, name in zip(slopes, names.split(", "), strict=True)]
    return PROGRAM.format(arguments=names, line=" + ".join([str(start), *terms]))


def look_for(law: str, folder: Path, evaluations: int, seed: int) -> None:
    """Run the example with another law and print the most accurate formula."""
    task = folder / law
    shutil.copytree(bundled("examples") / "symbolic-regression", task)
    settings = (task / "task.toml").read_text().replace('law = "damped"', f'law = "{law}"')
    (task / "task.toml").write_text(settings)
    (task / "formula.py").write_text(seed_of(law))
    run = evolver.run(task, evaluations=evaluations, seed=seed, out=folder / f"run-{law}")
    best = max(run.front, key=lambda elite: elite.evaluation.metrics["digits"])
    metrics, private = best.evaluation.metrics, best.evaluation.private
    is_found = metrics["digits"] >= FOUND and private["extrapolated_digits"] >= FOUND
    (source,) = best.program.files.values()
    formula = source.decode().partition("START")[2].rpartition("# EVOLVE")[0].split()
    print(f"{law:9} {'found' if is_found else '-':5} {metrics['digits']:6.2f} digits, "
          f"{private['extrapolated_digits']:6.2f} beyond, size {metrics['size']:.0f}, "
          f"{run.seconds:.0f} s: {' '.join(formula)}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("laws", nargs="*", default=list(MODULE.LAWS))
    parser.add_argument("--evaluations", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for law in arguments.laws:
            look_for(law, Path(folder), arguments.evaluations, arguments.seed)


if __name__ == "__main__":
    main()
