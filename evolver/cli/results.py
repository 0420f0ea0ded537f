"""Commands that read runs: show, best, diff, export."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer

from evolver.cli.arguments import BEST, SEED, program_named, run_and_programs
from evolver.cli.options import Json
from evolver.cli.output import console, print_json, say
from evolver.cli.summary import overview, print_origin
from evolver.errors import UsageError
from evolver.wording import counted, shell, visible, visible_line

if TYPE_CHECKING:
    from rich.console import Console

    from evolver.runs.run import Run
    from evolver.types import Elite, Evaluation, Program

_REASONS = 3  # reasons for attempts without an evaluation, the most frequent ones

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[DIR] [PROGRAM]",
        help="A run's directory (default: the latest); a program: its number, seed or best.",
    ),
]


# --- show -----------------------------------------------------------------------------------------


def show(words: Words = None, as_json: Json = False) -> None:
    """Show a run, or one of its programs with its verdict, lineage and source."""
    from evolver.search import gate

    run, ids = run_and_programs(words or [], most=1)
    if ids:
        program, evaluation = run.program(ids[0])
        if as_json:
            print_json(_record(run, program.id))
        else:
            _show_program(run, program, evaluation, console())
        return
    if as_json:
        print_json(_run_record(run))
        return
    out = console()
    source = run.facts.get("repository")
    out.print(f"{run.directory}: task {run.facts['task']}", soft_wrap=True)
    if source:
        dirty = ", with uncommitted changes" if source["dirty"] else ""
        out.print(f"from commit {source['commit'][:10]} of {source['root']}{dirty}")
    print_origin(run, out)
    if gate.summary(run.facts.get("gate")):
        out.print(f"gate: {gate.summary(run.facts['gate'])}")
    if run.configuration.task.ablate:
        out.print(f"left out: {', '.join(run.configuration.task.ablate)}")
    if run.limit < run.configuration.task.evaluator.timeout:
        out.print(
            f"an evaluation may take {run.limit:.2g} s: "
            f"{run.configuration.task.evaluator.times_seed:g} times the seed's, "
            "at least 0.5 s"
        )
    overview(run, out)
    out.print()
    for name, counts in sorted(_operators(run).items()):
        out.print(f"{name}: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    reasons = Counter(o.reason.partition("\n")[0] for o in run.outcomes if o.evaluation is None)
    for reason, times in reasons.most_common(_REASONS):
        out.print(f"not evaluated, {counted(times, 'time')}: {reason}")


def _operators(run: Run) -> dict[str, Counter[str]]:
    """Count how the attempts of each operator ended."""
    found: dict[str, Counter[str]] = {}
    for outcome in run.outcomes:
        judged = outcome.evaluation
        ending = outcome.verdict if judged is None else run.failures.ending(judged)
        found.setdefault(outcome.attempt.operator, Counter())[ending] += 1
    return found


def _run_record(run: Run) -> dict[str, Any]:
    from dataclasses import asdict

    from evolver.search.progress import ModelRecord

    return {
        **run.summary(),
        "task": run.facts["task"],
        "repository": run.facts.get("repository"),
        "front": [_elite_record(run, elite) for elite in run.front],
        "operators": {name: dict(counts) for name, counts in _operators(run).items()},
        "failures": run.failures.records(),
        "gate": run.facts.get("gate"),
        "preflights": vars(run.preflight_counts),
        "forked_from": run.facts.get("forked_from"),
        "ablate": list(run.configuration.task.ablate),
        "dollars": run.bill.dollars,
        "tokens": run.bill.tokens,
        "models": {
            name: {
                **asdict(bill),
                "attempts": run.models.get(name, ModelRecord()).attempts,
                "improved": run.models.get(name, ModelRecord()).improved,
            }
            for name, bill in run.bills.items()
        },
    }


def _elite_record(run: Run, elite: Elite) -> dict[str, Any]:
    evaluation = elite.evaluation
    return {
        "id": elite.program.id,
        "metrics": dict(evaluation.metrics),
        "objectives": evaluation.objectives,
        "operator": elite.program.operator,
        "trusted": evaluation.trusted,
        "search_metrics": dict(run.searched[elite.program.id].evaluation.metrics),
        **_confirmation(run, elite.program.id),
    }


def _confirmation(run: Run, number: int) -> dict[str, Any]:
    """Return the repeated measurements of a program for `--json`."""
    known = run.evidence.confirmed.get(number)
    return {
        "confirmed": None if known is None else dict(known.metrics),
        "intervals": run.bounds(number),
        "n": 0 if known is None else len(known.repeats),
        "established": run.evidence.establishes(number),
    }


def _record(run: Run, number: int) -> dict[str, Any]:
    from evolver.reports import export

    chosen = [o for o in run.outcomes if o.program is not None and o.program.id == number]
    record = next(export.records(chosen))
    if number in run.elites:
        record["lineage"] = [elite.program.id for elite in run.lineage(number)]
        record |= _confirmation(run, number)
    return record


def _show_program(run: Run, program: Program, evaluation: Evaluation | None, out: Console) -> None:
    from evolver.search import formatting

    parents = ", ".join(str(parent) for parent in program.parents) or "none"
    model = next((o.attempt.model for o in run.outcomes if o.attempt.id == program.id), "")
    asked = f" with {model}" if model else ""
    out.print(
        f"program {program.id} by {program.operator}{asked}, parents {parents}, "
        f"island {program.island}, generation {program.generation}"
    )
    if program.summary:
        out.print(program.summary)
    if program.thought:
        out.print(f"thought: {program.thought}")
    if evaluation is not None:
        untrusted = "" if evaluation.trusted else " (untrusted)"
        out.print(f"{evaluation.status}: {_written(evaluation.metrics)}{untrusted}")
        if evaluation.private:
            out.print(f"private: {_written(evaluation.private)}")
        if evaluation.complaint:
            out.print(evaluation.complaint)
    found = run.evidence.compared(program.id)
    if found is not None:
        out.print(f"measured again: {formatting.compared(found, run.objective)}")
    elif program.id in run.evidence.confirmed:
        n = len(run.evidence.confirmed[program.id].repeats)
        out.print(
            f"measured again, n = {n}: {_written(run.evidence.confirmed[program.id].metrics)}"
        )
    elif program.id in run.failed:
        out.print("it failed when it was measured again")
    if program.id in run.elites:
        chain = run.lineage(program.id)
        out.print("lineage: " + " -> ".join(str(elite.program.id) for elite in chain))
    print_source(program, out)


def _written(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.10g}" for name, value in metrics.items())


def print_source(program: Program, out: Console) -> None:
    """Print a program's files for people, coloured on a terminal."""
    for path, content in program.files.items():
        text = visible(content.decode("utf-8", "backslashreplace"))
        if len(program.files) > 1:
            out.print(f"--- {path} ---", soft_wrap=True)
        if out.is_terminal:
            from rich.syntax import Syntax

            out.print(Syntax(text, Syntax.guess_lexer(path, text), background_color="default"))
        else:
            out.file.write(text if text.endswith("\n") or not text else f"{text}\n")


def _write_source(program: Program) -> None:
    """Write a program's files to standard output, byte for byte."""
    sys.stdout.flush()
    for path, content in program.files.items():
        if len(program.files) > 1:
            sys.stdout.buffer.write(f"--- {path} ---\n".encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


# --- best, diff, export ---------------------------------------------------------------------------


def best(
    words: Words = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Choose among programs with, for example, 'operations <= 8'; may be repeated.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the best program, or a given one.

    Standard output has its source, byte for byte; standard error has its metrics.
    """
    from evolver.search import formatting
    from evolver.tasks.objective import Condition

    run, ids = run_and_programs(words or [], most=1)
    if ids and where:
        raise UsageError("--where chooses a program, and so does its name; leave one of them out")
    conditions = [Condition.parse_whole(text) for text in where or []]
    _check_names(run, conditions)
    found = (
        _judged(run, ids[0])
        if ids
        else run.best_where(lambda metrics: all(c.holds(metrics) for c in conditions))
        if conditions
        else run.best
    )
    if found is None:
        wish = " and ".join(str(condition) for condition in conditions) or "status ok"
        raise UsageError(f"{run.directory} has no program with {wish}; see 'evolver show'")
    if as_json:
        print_json(_record(run, found.program.id))
        return
    about = (
        f"program {found.program.id}: {_written(found.evaluation.metrics)}{formatting.trust(found)}"
    )
    say(about, err=True)
    out = console()
    if out.is_terminal:
        print_source(found.program, out)
    else:
        _write_source(found.program)


def _judged(run: Run, number: int) -> Elite:
    """Return a program with its metrics.

    Raises:
        UsageError: the program does not exist, or it did not pass its evaluation.
    """
    run.program(number)
    if number not in run.elites:
        raise UsageError(
            f"program {number} did not pass its evaluation; "
            f"see '{shell('evolver', 'show', run.directory, str(number))}'"
        )
    return run.elites[number]


def _check_names(run: Run, conditions: list[Any]) -> None:
    from evolver.tasks.plugins import nearest

    known = {name for elite in run.elites.values() for name in elite.evaluation.metrics}
    for condition in conditions:
        if known and condition.metric not in known:
            raise UsageError(
                f"--where: no metric is named '{condition.metric}'; "
                f"{nearest(condition.metric, known)}"
            )


def diff(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DIR] [A] [B]",
            help="A run's directory (default: the latest); two programs, each by its number, seed "
            "or best (default: seed best).",
        ),
    ] = None,
) -> None:
    """Show what changed between two programs."""
    import difflib

    run, ids = run_and_programs(words or [], most=2)
    old = run.program(ids[0] if ids else program_named(run, SEED))[0]
    new = run.program(ids[1] if len(ids) > 1 else program_named(run, BEST))[0]
    out = console()
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for path in sorted({*old.files, *new.files}):
        before, after = (_lines(p.files.get(path, b"")) for p in (old, new))
        names = (f"{path} (program {old.id})", f"{path} (program {new.id})")
        for line in difflib.unified_diff(before, after, *names, lineterm=""):
            out.print(visible_line(line), style=styles.get(line[:1], ""), soft_wrap=True)
    if old.files == new.files:
        say(f"Programs {old.id} and {new.id} are the same.", err=True)


def _lines(content: bytes) -> list[str]:
    lines = content.decode("utf-8", "backslashreplace").split("\n")
    return lines if lines[-1] else lines[:-1]


def export(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DIR] [PROGRAM]...",
            help="A run's directory (default: the latest); programs, each by its number, seed or "
            "best (default: all).",
        ),
    ] = None,
    format_: Annotated[
        Literal["csv", "jsonl"], typer.Option("--format", help="jsonl has the sources too.")
    ] = "csv",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file to write (default: standard output)."),
    ] = None,
) -> None:
    """Write every program with its metrics and parents."""
    from evolver.reports import export as exporting

    run, ids = run_and_programs(words or [])
    for number in ids:
        run.program(number)  # raises if it does not exist
    outcomes = [o for o in run.outcomes if not ids or o.attempt.id in ids]

    def write(stream: IO[str]) -> int:
        if format_ == "csv":
            return exporting.write_csv(outcomes, stream)
        return exporting.write_jsonl(outcomes, stream, run.evidence)

    if out is None:
        write(sys.stdout)
        return
    try:
        with out.open("w", encoding="utf-8", newline="") as stream:
            count = write(stream)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror}; choose another --out"
        ) from error
    say(f"{counted(count, 'program')} in {out}", err=True)
