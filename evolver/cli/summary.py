"""Summarise a run: its outcome, its report, and how to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from evolver.cli.output import print_json, resume_command, say
from evolver.wording import counted, shell

if TYPE_CHECKING:
    from rich.console import Console

    from evolver.runs.run import Run

REPORT = "report.html"
INTERRUPTED = "interrupted"
UNTRUSTED = (
    "Untrusted: the evaluator takes a program's path, so it shared a process with the candidate, "
    "which can forge any score. An evaluator that takes a candidate runs outside of it."
)

_STOPPED = {
    "evaluations": "all evaluations are spent",
    "seconds": "the time is up",
    "dollars": "the remaining dollars do not cover another request with max_tokens of answer",
    "tokens": "the remaining tokens do not cover another request with max_tokens of answer",
    "target": "the target is reached",
    "exhausted": "a thousand attempts in a row gave nothing new to evaluate",
    "useless": "twenty requests to models in a row gave nothing to evaluate",
    INTERRUPTED: "interrupted",
}


def conclude(run: Run, out: Console, *, before: int = -1, as_json: bool) -> None:
    """Print what a run found, write its report, and exit 130 if it was interrupted.

    If it has no more attempts than `before`, print how to give it more.
    """
    print_origin(run, out)
    overview(run, out)
    out.print()
    if run.best is not None:
        out.print(f"Best program: {run.directory / 'best'}", soft_wrap=True)
    out.print(write_report(run), soft_wrap=True)
    if as_json:
        print_json(run.summary())
    if run.stopped == INTERRUPTED:
        say(f"Stopped. Go on with: {resume_command(run.directory)}", err=True)
        raise typer.Exit(130)
    if run.stopped == "useless":
        last = [o for o in run.outcomes if o.attempt.model and o.evaluation is None][-1]
        asked = shell("evolver", "prompt", run.directory, "--attempt", str(last.attempt.id))
        say(
            f"Models give nothing to evaluate; the last time: {last.reason.partition(chr(10))[0]}\n"
            f"See what was asked: {asked}\n"
            f"Go on with: {resume_command(run.directory)}",
            err=True,
        )
        return
    if len(run.outcomes) == before:
        more = f" --evaluations {2 * run.evaluations}"
        if run.stopped == "target":
            more = " --target VALUE, with a better value"
        say(
            "Nothing was left to do. Give it more, for example: "
            f"{resume_command(run.directory)}{more}",
            err=True,
        )


def print_origin(run: Run, out: Console) -> None:
    """Print the origin of a fork."""
    if origin := run.facts.get("forked_from"):
        after = counted(origin["at"], "attempt")
        out.print(f"forked from {origin['run']} after {after}", soft_wrap=True)


def overview(run: Run, out: Console) -> None:
    """Print a run's outcome: totals, front, comparison with references, plot."""
    from evolver.reports import display
    from evolver.reports.comparison import compare, comparison_table
    from evolver.reports.text_plot import terminal_plot
    from evolver.search import formatting

    stopped = run.stopped
    end = "not finished" if stopped is None else _STOPPED.get(stopped, stopped)
    out.print(
        f"{counted(run.evaluations, 'evaluation')} of {counted(len(run.outcomes), 'attempt')} in "
        f"{formatting.duration(run.seconds)}; {end}."
    )
    _print_models(run, out)
    preflights = run.preflight_counts
    if preflights.failed:
        out.print(
            f"{counted(preflights.failed, 'child', 'children')} failed in pre-flight, before an "
            f"evaluation; {preflights.mended} mended."
        )
    if len(run.bills) > 1:
        out.print(display.model_table(run.models, run.bills))
    flagged = [o.attempt.id for o in run.outcomes if o.evaluation and o.evaluation.flags]
    if flagged:
        first = ", ".join(map(str, flagged[:5]))
        out.print(
            f"Flagged and rejected for touching a decoy: {counted(len(flagged), 'program')} "
            f"(see `show DIR ID`): {first}{', ...' if len(flagged) > 5 else ''}"
        )
    _print_failures(run, out)
    if run.best is None:
        out.print(f"No program {'passed its evaluation' if run.evaluations else 'was judged'}.")
        return
    for sentence in _best(run):
        out.print(sentence)
    if not run.best.evaluation.trusted:
        out.print(UNTRUSTED)
    out.print()
    points = [elite.evaluation.metrics for elite in run.front]
    references = run.facts.get("references") or {}
    comparison = compare(points, references, run.objective)
    out.print(display.front_table(run.front))
    if comparison is not None:
        out.print()
        out.print(comparison_table(comparison))
    plot = terminal_plot(points, references, run.objective, width=min(out.width, 100))
    if plot is not None and len(points) > 1:
        out.print(plot)


def _print_models(run: Run, out: Console) -> None:
    """Print what models cost, and which of them give empty answers."""
    from evolver.search import formatting

    if run.bills:
        out.print(f"Models: {formatting.written(run.bill)}.")
    for trouble in formatting.emptiness(run.bills):
        out.print(f"{trouble}.")


def _print_failures(run: Run, out: Console) -> None:
    for line in run.failures.lines():
        out.print(line)


def _best_facts(run: Run) -> dict[str, str]:
    """Return the facts of a report about the best program."""
    if run.best is None:
        return {"best": "none"}
    best, *others = (sentence.partition(": ")[2].rstrip(".") for sentence in _best(run))
    return {"best": best, **({"beside it": others[0]} if others else {})}


def _best(run: Run) -> list[str]:
    """Say what was found, in its own unit, and what is known of it."""
    from evolver.search import formatting

    objective, best = run.objective, run.best
    assert best is not None
    trust = formatting.trust(best)
    if not run.evidence.confirmed:
        told = (
            f"{objective.value_name} {formatting.number(objective.value(run.score or 0.0))}{trust}"
        )
        found = [run.deviations[e.program.id] for e in run.front if e.program.id in run.deviations]
        if not found:
            return [f"Best: {told}, not confirmed: it was not measured again."]
        off = f"at most {100 * max(found):.2g} % away" if max(found) else "exactly the same"
        return [f"Best: {told}.", f"{len(found)} of {len(run.front)} measured again: {off}."]
    said = [f"Best: {formatting.announced(run.evidence, run.front, objective)}{trust}."]
    if not run.evidence.is_exact and run.search_front:
        luckiest = run.search_front[0]
        which = f" (program {luckiest.program.id})" if len(objective.names) == 1 else ""
        value = formatting.number(objective.value(run.search_score or 0.0))
        said.append(
            f"By the search alone, which measures once: {objective.value_name} {value}{which}."
        )
    return said


def write_report(run: Run) -> str:
    """Write the report into the run's directory; return a line with its path, or the reason."""
    from evolver.reports.html_report import PLOTS_NEED, HtmlReport, history, write_html
    from evolver.search import formatting, gate

    best = run.best
    stopped = run.stopped
    facts = {
        "task": str(run.facts["task"]),
        **_best_facts(run),
        "evaluations": str(run.evaluations),
        "attempts": str(len(run.outcomes)),
        "time": formatting.duration(run.seconds),
        "stopped": "no" if stopped is None else _STOPPED.get(stopped, stopped),
        "gate": gate.summary(run.facts.get("gate")) or "none",
        "flagged": str(sum(bool(o.evaluation and o.evaluation.flags) for o in run.outcomes)),
    }
    if run.failures.lines():
        facts["failures"] = "; ".join(line.strip() for line in run.failures.lines())
    if run.bills:
        facts["models"] = formatting.written(run.bill)
    if run.configuration.task.ablate:
        facts["left out"] = ", ".join(run.configuration.task.ablate)
    if origin := run.facts.get("forked_from"):
        facts["forked from"] = f"{origin['run']} after {counted(origin['at'], 'attempt')}"
    shown = HtmlReport(
        title=f"evolver: {run.facts['task']}",
        facts=facts,
        front=[elite.evaluation.metrics for elite in run.front],
        references=run.facts.get("references") or {},
        objective=run.objective,
        history=history(run.outcomes, run.objective),
        confirmed=None
        if run.score is None or not run.evidence.confirmed or run.evidence.is_exact
        else run.objective.value(run.score),
        best={} if best is None else best.program.files,
    )
    path = run.directory / REPORT
    try:
        has_plots = write_html(shown, path)
    except OSError as error:  # the run itself is complete
        return f"{path} could not be written: {error.strerror}"
    return f"Report: {path}" if has_plots else f"Report: {path} ({PLOTS_NEED})"
