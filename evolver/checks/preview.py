"""Show prompts without asking a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from evolver import prompts
from evolver.errors import UsageError
from evolver.ports import Prompting, Templated
from evolver.runs.assemble import make_operators, make_population
from evolver.runs.judging import judge
from evolver.runs.run import Run
from evolver.search.evidence import Verdict, in_order
from evolver.storage.facts import Outcome
from evolver.tasks.plugins import nearest
from evolver.tasks.task import Task
from evolver.types import Context, Elite, Evaluation, Program, Prompt


@dataclass(frozen=True)
class Preview:
    """The prompt that one operator would send.

    Attributes:
        operator: its name in the mix.
        templates: the files of its templates, the task's own if it has any.
        others: names of the other operators that ask a model.
    """

    operator: str
    prompt: Prompt
    templates: tuple[Path, ...]
    others: tuple[str, ...]


def operators_that_ask(task: Task) -> dict[str, Prompting]:
    """Return the operators of a task that ask a model and can show their prompts, by name."""
    return {
        entry.name: entry.operator
        for entry in make_operators(task, has_model=True)
        if isinstance(entry.operator, Prompting)
    }


def preview(task: Task, context: Context, operator: str | None = None) -> Preview:
    """Return the first prompt of an operator, by default of the first one that asks a model.

    Raises:
        UsageError: there is no such operator, none asks a model, or a template is invalid.
    """
    asking = operators_that_ask(task)
    if not asking:
        raise UsageError("no operator of this task uses a model; add [[operator]] use = 'diff'")
    name = operator or next(iter(asking))
    if name not in asking:
        raise UsageError(f"no operator '{name}' asks a model here; {nearest(name, asking)}")
    chosen = asking[name]
    templates = chosen.templates if isinstance(chosen, Templated) else ()
    return Preview(
        name,
        chosen.prompt(context),
        tuple(prompts.path(template, task.brief.prompts.folder) for template in templates),
        tuple(other for other in asking if other != name),
    )


def at_the_start(task: Task, evaluation: Evaluation | None = None) -> Context:
    """Return the first context of a run: the seed with its evaluation.

    Args:
        task: as loaded.
        evaluation: the seed's, if it has been judged already.

    Raises:
        UsageError: the seed fails its evaluation.
    """
    evaluation = evaluation or judge(task)
    if evaluation.status != "ok":
        raise UsageError(
            f"the seed program fails its own evaluation ({evaluation.status}):\n"
            f"{evaluation.explanation}"
        )
    limit = task.settings.evaluator.limit(evaluation.seconds)
    return _context(task, Elite(Program(0, task.files, task.base), evaluation), limit)


def at_the_end(run: Run) -> Context:
    """Return a context for the next attempt of a run: a parent, inspirations, earlier children.

    Raises:
        UsageError: no program of the run passed its evaluation.
    """
    population = make_population(run.task)
    for event in in_order(run.outcomes, run.confirmations, run.rounds):
        match event:
            case Outcome():
                population.record(event)
            case Verdict():
                population.settle(event)
    population.disqualify(run.failed)
    if not population.elites:
        raise UsageError(f"{run.directory} has no program that passed its evaluation")
    number = len(run.outcomes)
    chosen = population.select(number, Random(f"0/{number}/select"), diverse=True)
    return replace(
        _context(run.task, chosen.parent, None if run.configuration.deterministic else run.limit),
        inspirations=chosen.inspirations,
        tried=population.tried(chosen.parent.program.id, upto=number),
    )


def _context(task: Task, parent: Elite, limit: float | None) -> Context:
    return Context(task.brief, parent, (), Random("0/1/propose"), lambda _files: False, limit=limit)
