"""CPU milliseconds of the controller per candidate, as the store grows.

The operator and the evaluator do nothing, so what is left is evolver: deciding, filtering,
recording, the population, the reports. The program is 2 KiB of Python, 40 small functions.
The baseline of the ratio is the first row.

    python benchmarks/overhead.py [--sizes 200 1000 3000 20000]
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
from dataclasses import dataclass
from pathlib import Path

from evolver.evaluation.executors.inline import InlineExecutor
from evolver.operators.mix import Mix, Weighted
from evolver.routing.budget import Budget
from evolver.search.archives import BestN, Pareto
from evolver.search.engine import Engine
from evolver.search.parts import EngineSettings, RunParts
from evolver.search.population import Island, Population
from evolver.search.progress import Progress
from evolver.search.selection import FrontFirst, Tournament
from evolver.storage.store import Store
from evolver.tasks.objective import Objective
from evolver.types import Brief, Context, Files, Program, Proposal

FILLER = b"".join(b"def f%d(x):\n    return x * %d + 1  # unchanged\n" % (i, i) for i in range(40))


@dataclass(frozen=True)
class DoNothing:
    """Changes one number, so that the child is new."""

    async def propose(self, context: Context) -> Proposal:
        """Return the new child."""
        number = context.rng.getrandbits(60)
        return Proposal({"program.py": b"value = %d\n" % number + FILLER})


def measure(program: Program) -> dict[str, float]:
    """A score that rarely improves, as in a long run."""
    number = int(program.files["program.py"].split(b"\n")[0].split()[-1])
    return {"a": number % 9973 / 9973, "b": number % 997 / 997}


def run(objective: Objective, size: int, sample: int) -> list[tuple[int, float]]:
    """Return (stored programs, CPU milliseconds per candidate) over windows that end at sizes."""
    marks: list[tuple[int, float]] = []

    def listener(progress: Progress) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        marks.append((progress.evaluations, usage.ru_utime + usage.ru_stime))

    several = len(objective.names) > 1
    seed: Files = {"program.py": b"value = 1\n" + FILLER}
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder), {}, "benchmark")
        engine = Engine(
            RunParts(
                brief=Brief("", seed),
                base="",
                seeds=[seed],
                store=store,
                population=Population(
                    objective,
                    (lambda: Island(Pareto(), FrontFirst()))
                    if several
                    else (lambda: Island(BestN(), Tournament())),
                    islands=4,
                    migration_interval=200,
                ),
                mix=Mix([Weighted("nothing", DoNothing(), 1.0)]),
                executor=InlineExecutor(measure, objective),
                budget=Budget(evaluations=size + sample),
                settings=EngineSettings(in_flight=4),
                listener=listener,
            )
        )
        asyncio.run(engine.run())
        store.close()
    return marks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 1000, 3000, 20000])
    parser.add_argument("--sample", type=int, default=200, help="candidates per figure")
    arguments = parser.parse_args()
    cases = {
        "one objective, best-N": Objective(("a",)),
        "two objectives, Pareto": Objective(("a", "b"), reference={"a": 0.0, "b": 0.0}),
    }
    print(f"{'case':24} {'stored':>8} {'CPU ms per candidate':>22} {'ratio to first':>15}")
    for name, objective in cases.items():
        marks = run(objective, max(arguments.sizes), arguments.sample)
        first = None
        for size in arguments.sizes:
            before = max((m for m in marks if m[0] <= size), default=marks[0])
            after = min((m for m in marks if m[0] >= size + arguments.sample), default=marks[-1])
            milliseconds = 1000 * (after[1] - before[1]) / (after[0] - before[0])
            first = first or milliseconds
            print(f"{name:24} {size:8} {milliseconds:22.2f} {milliseconds / first:15.2f}")


if __name__ == "__main__":
    main()
