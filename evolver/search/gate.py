"""The gate: before a run commits anything, known-bad programs are judged.

A run finds whatever its evaluator rewards, so it would at once game an evaluator that prefers a bad
program to the seed. Some bad programs are generated from the seed, others are named by the task
([evaluator] must_reject). With one objective, none may score above the seed. With several, no
generated one may dominate the seed, and no named one may raise the score, which is the hypervolume:
a program of no operations and no digits is bad, and yet no better one has fewer operations.

A program that scores above the seed once may have been lucky (`evolver.search.suspects`).

A constant that beats the seed stops a run too, although the seed may just be poor: only the user
can tell, and can start the run with --skip-gate.
"""

from __future__ import annotations

import ast
import asyncio
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from random import Random
from typing import Any

from evolver.errors import UsageError
from evolver.evaluation.executors import together
from evolver.ports import Executor
from evolver.programs.edits import find_regions
from evolver.search.suspects import Suspect, measure_again
from evolver.tasks.objective import Objective
from evolver.tasks.task import Task
from evolver.types import Elite, Evaluation, Files, Job, Program

_FUNCTIONS = {
    "no-op": ("every function returns nothing", "pass"),
    "constant": ("every function returns 0", "return 0"),
    "oversized": ("every function returns more bytes than allowed", "return bytes({size})"),
}
_CRASH = "raise RuntimeError('this program crashes at its import')"
_CLOCKS = {
    "slow clock": ("the seed, with clocks a thousand times too slow", 0.001),
    "backward clock": ("the seed, with clocks that run backwards", -1.0),
}
_CLOCK = """
def _change_clocks(rate):
    import time, timeit

    def change(name):
        real = getattr(time, name)
        starts = {{}}

        def changed(*which):
            now = real(*which)
            start = starts.setdefault(which, now)
            return type(now)(start + (now - start) * rate)  # nanoseconds stay whole numbers

        setattr(time, name, changed)

    for clock in ("time", "monotonic", "perf_counter", "process_time", "thread_time",
                  "clock_gettime"):
        change(clock)
        change(clock + "_ns")
    timeit.default_timer = time.perf_counter

_change_clocks({rate})
"""


@dataclass(frozen=True)
class BadProgram:
    """A program that no evaluator may prefer to the seed."""

    name: str
    about: str
    files: Files
    is_named: bool = False  # by the task itself


@dataclass(frozen=True)
class Verdict:
    """The judgement of a bad program; if it `passes`, the evaluator has a hole."""

    program: BadProgram
    evaluation: Evaluation
    passes: bool


# --- the programs ---------------------------------------------------------------------------------


def bad_programs(task: Task) -> list[BadProgram]:
    """Return the bad programs of a task: those that it names, and those made from its seed.

    Raises:
        UsageError: a named file could replace several files of the program.
    """
    found = [_named(task, path, content) for path, content in task.must_reject.items()]
    distinct = [task.files]
    for made in _generated(task):
        if made.files not in distinct:  # else the seed has nothing to transform
            distinct.append(made.files)
            found.append(made)
    return found


def _named(task: Task, path: str, content: bytes) -> BadProgram:
    same = [own for own in task.files if PurePosixPath(own).name == PurePosixPath(path).name]
    replaced = same or list(task.files)
    if len(replaced) > 1:
        raise UsageError(
            f"[evaluator] must_reject: {path} could replace each of {', '.join(replaced)}; give it "
            "the name of one of them, in a folder of its own"
        )
    return BadProgram(
        path, "named by the task", {**task.files, replaced[0]: content}, is_named=True
    )


def _generated(task: Task) -> Iterator[BadProgram]:
    python = [path for path in task.files if path.endswith(".py") and _can_edit(task.files[path])]
    if not python:
        yield BadProgram("empty", "every file is empty", dict.fromkeys(task.files, b""))
        nonsense = dict.fromkeys(task.files, b"\0 this is no program \0\n")
        yield BadProgram("crash", "no file is a program", nonsense)
        return
    for name, (about, statement) in _FUNCTIONS.items():
        body = statement.format(size=task.settings.sandbox.result_bytes + 1)
        changed = {path: _with_bodies(path, task.files, body) for path in python}
        yield BadProgram(name, about, {**task.files, **changed})
    crashing = {path: _with_prefix(task.files[path], _CRASH) for path in python}
    yield BadProgram("crash", "it raises at its import", {**task.files, **crashing})
    first = task.main if task.main in python else python[0]
    for name, (about, rate) in _CLOCKS.items():
        patched = _with_prefix(task.files[first], _CLOCK.format(rate=rate))
        yield BadProgram(name, about, {**task.files, first: patched})


def _can_edit(source: bytes) -> bool:
    try:
        ast.unparse(_parsed(source))
    except (SyntaxError, ValueError, RecursionError):  # a sum of a thousand terms is too deep
        return False
    return True


def _parsed(source: bytes) -> ast.Module:
    with warnings.catch_warnings(action="ignore"):  # the program's author may have caused them
        return ast.parse(source)


def _with_bodies(path: str, files: Files, body: str) -> bytes:
    """Replace the body of every function that an editable region touches.

    The rest keeps its meaning, but loses comments, and with them the markers.
    """
    source = files[path]
    spans = [
        (source.count(b"\n", 0, region.start) + 1, source.count(b"\n", 0, region.end))
        for region in find_regions(files, is_recorded=True)
        if region.path == path
    ]

    tree = _parsed(source)
    touched = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(node.lineno <= last and first <= (node.end_lineno or 0) for first, last in spans)
    ]
    if not touched:
        return source
    for node in touched:
        node.body = ast.parse(body).body
    return ast.unparse(ast.fix_missing_locations(tree)).encode()


def _with_prefix(source: bytes, prefix: str) -> bytes:
    """Put statements first, but after docstrings and imports from __future__."""
    tree = _parsed(source)
    first = next(
        (
            number
            for number, node in enumerate(tree.body)
            if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            and not (isinstance(node, ast.ImportFrom) and node.module == "__future__")
        ),
        len(tree.body),
    )
    tree.body[first:first] = ast.parse(prefix).body
    return ast.unparse(ast.fix_missing_locations(tree)).encode()


# --- the verdicts ---------------------------------------------------------------------------------


async def judge_all(
    executor: Executor,
    seed: Program,
    measured: Evaluation,
    job_seed: int,
    programs: Sequence[BadProgram],
    objective: Objective,
) -> list[Verdict]:
    """Judge bad programs beside the seed, with its inputs.

    A program that scores above the seed is a suspect. It passes if `evolver.search.suspects`
    establishes that it is better.

    Args:
        executor: judges as many at once as it has slots.
        seed: the seed program.
        measured: its evaluation, with status "ok".
        job_seed: of its evaluation.
        programs: the bad ones.
        objective: of the task.

    Raises:
        SandboxError: this host cannot run candidates.
    """

    async def measure(files: Files, chance: int) -> Evaluation:
        return await executor.evaluate(Job(Program(-1, files, seed.base), chance))

    found = await together([measure(program.files, job_seed) for program in programs])
    judged = [
        Suspect(program.files, program.is_named, (evaluation, measured))
        for program, evaluation in zip(programs, found, strict=True)
    ]
    suspects = [one for one in judged if one.looks_better(objective)]
    await measure_again(
        suspects, seed.files, objective, measure, rng=Random(job_seed), slots=executor.slots
    )
    return [
        Verdict(program, one.first[0], one in suspects and one.is_better(objective, len(suspects)))
        for program, one in zip(programs, judged, strict=True)
    ]


def complaint(verdicts: Sequence[Verdict], measured: Evaluation, objective: Objective) -> str:
    """Describe the holes in an evaluator to the user; "" if there are none."""

    def scores(evaluation: Evaluation) -> str:
        return ", ".join(f"{name} {evaluation.metrics[name]:.6g}" for name in objective.names)

    holes = [verdict for verdict in verdicts if verdict.passes]
    if not holes:
        return ""
    count = "a program that is" if len(holes) == 1 else f"{len(holes)} programs that are"
    listed = [f"  {v.program.name} ({v.program.about}): {scores(v.evaluation)}" for v in holes]
    return "\n".join(
        [
            f"the evaluator prefers {count} known to be bad to the seed ({scores(measured)}):",
            *listed,
            "A run would find the same at once and call it better. Fix the evaluator, or give it "
            "a better seed; if its scores are right, go on with --skip-gate.",
        ]
    )


def record(verdicts: Sequence[Verdict], seconds: float) -> dict[str, Any]:
    """Return the verdicts as plain values, to store with a run."""
    programs = [
        {
            "name": verdict.program.name,
            "about": verdict.program.about,
            "status": verdict.evaluation.status,
            "metrics": dict(verdict.evaluation.metrics),
            "passes": verdict.passes,
        }
        for verdict in verdicts
    ]
    return {"skipped": False, "seconds": round(seconds, 3), "programs": programs}


SKIPPED: Mapping[str, Any] = {"skipped": True}


def summary(recorded: Mapping[str, Any] | None) -> str:
    """Summarise a stored gate in a few words; "" if there was none."""
    if not recorded:
        return ""
    if recorded["skipped"]:
        return "skipped by --skip-gate: whether the evaluator can be gamed is unknown"
    return f"none of {len(recorded['programs'])} bad programs scored above the seed"


class Gate:
    """Stops a run whose evaluator prefers a known-bad program to the seed."""

    def __init__(
        self,
        programs: Sequence[BadProgram],
        objective: Objective,
        keep: Callable[[Mapping[str, Any]], None],
        *,
        quiet: float = 3.0,
    ) -> None:
        """Make the gate of a run.

        Args:
            programs: the bad ones.
            objective: of the task.
            keep: stores the record of the verdicts.
            quiet: seconds before the user is told what takes so long.
        """
        self._programs = programs
        self._objective = objective
        self._keep = keep
        self._quiet = quiet

    async def check(
        self, executor: Executor, seed: Elite, job_seed: int, say: Callable[[str], None]
    ) -> None:
        """Judge the bad programs beside the seed.

        Args:
            executor: judges.
            seed: the seed program with its evaluation.
            job_seed: of its evaluation.
            say: tells the user a sentence.

        Raises:
            UsageError: the evaluator prefers one of them to the seed.
            SandboxError: this host cannot run candidates.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        message = f"before the run starts: judging {len(self._programs)} known-bad programs"
        telling = loop.call_later(self._quiet, say, message)
        try:
            verdicts = await judge_all(
                executor, seed.program, seed.evaluation, job_seed, self._programs, self._objective
            )
        finally:
            telling.cancel()
        holes = complaint(verdicts, seed.evaluation, self._objective)
        if holes:
            raise UsageError(holes)
        self._keep(record(verdicts, loop.time() - started))
