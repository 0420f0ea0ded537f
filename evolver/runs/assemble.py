"""Make the parts of a run; only this file names concrete classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import IO, Any

from evolver.errors import UsageError
from evolver.evaluation.evaluator import EvaluatorSource
from evolver.evaluation.executors.local import LocalExecutor
from evolver.evaluation.messages import Setup, Stage
from evolver.operators import DEFAULT
from evolver.operators.mix import Weighted
from evolver.ports import Beside, Bounding, NeedsModel, Selective
from evolver.programs.filters import syntax_error
from evolver.routing.choice import Bandit, ByWeight, Choice
from evolver.routing.endpoint import Endpoint, Terms
from evolver.sandboxes import SandboxSettings, image
from evolver.search.population import Island, Population
from evolver.tasks.objective import Condition
from evolver.tasks.plugins import configure, find
from evolver.tasks.settings import BudgetSection
from evolver.tasks.task import Task
from evolver.types import Model, Prompt

OPERATORS = {
    "mutate": "evolver.operators.genetic:Mutate",
    "crossover": "evolver.operators.genetic:Crossover",
    "refit": "evolver.operators.genetic:Refit",
    "diff": "evolver.operators.llm:Diff",
    "rewrite": "evolver.operators.llm:Rewrite",
    "recombine": "evolver.operators.llm:Recombine",
    "plan": "evolver.operators.llm:Plan",
    "persona": "evolver.operators.llm:Persona",
    "evolution-of-thought": "evolver.operators.llm:EvolutionOfThought",
}
ARCHIVES = {
    "best": "evolver.search.archives:BestN",
    "pareto": "evolver.search.archives:Pareto",
    "first": "evolver.search.archives:First",
}
POLICIES = {
    "tournament": "evolver.search.selection:Tournament",
    "power-law": "evolver.search.selection:PowerLaw",
    "front": "evolver.search.selection:FrontFirst",
}
MODELS = {
    "openai": "evolver.models.openai:OpenAIModel",
    "litellm": "evolver.models.litellm:LiteLLMModel",
    "command": "evolver.models.command:CommandModel",
    "manual": "evolver.models.manual:ManualModel",
    "replay": "evolver.routing.recorded:ReplayModel",
    "scripted": "evolver.models.scripted:ScriptedModel",
}
SANDBOXES = {
    "local": "evolver.sandboxes.local:LocalSandbox",
    "docker": "evolver.sandboxes.docker:DockerSandbox",
}

_TERMS = tuple(field.name for field in fields(Terms))
# The limit of an answer's tokens, if tokens or dollars are limited and the task sets none. A
# request reserves them, so a small budget needs small answers to last for several requests.
_MAX_TOKENS, _MIN_TOKENS, _REQUESTS = 8192, 1024, 32

_TRIALS = 8  # earlier children of a parent that prompts show


def make_operators(task: Task, *, has_model: bool) -> list[Weighted]:
    """Make the operators of a task, except those that lack a model or find nothing to edit.

    Raises:
        UsageError: a setting is invalid, or no operator is left.
    """
    wanted = task.settings.operator or DEFAULT
    made: list[Weighted] = []
    for number, table in enumerate(wanted):
        settings = dict(table)
        use = settings.pop("use", None)
        if not isinstance(use, str):
            raise UsageError(f"[[operator]] number {number + 1} has no 'use'; name the operator")
        weight = settings.pop("weight", 1.0)
        if not isinstance(weight, int | float) or weight <= 0:
            raise UsageError(f"[[operator]] {use}: weight must be a number above 0, got {weight!r}")
        plugin = find(use, root=task.root, kind="operator", builtin=OPERATORS)
        operator = configure(plugin, settings, f"[[operator]] {use}", also=("use", "weight"))
        needs_model = isinstance(operator, NeedsModel) and operator.needs_model
        applies = operator.applies_to(task.brief) if isinstance(operator, Selective) else True
        if (needs_model and not has_model) or not applies:
            continue
        name = use if use not in {entry.name for entry in made} else f"{use}-{number + 1}"
        made.append(Weighted(name, operator, float(weight), needs_model))
    if not made:
        mistake = syntax_error(task.files)
        if mistake is not None:
            raise UsageError(f"the seed program does not parse: {mistake}; correct it first")
        raise UsageError(
            "no operator fits this task: it has no editable Python, and only a model can edit "
            "anything else; name one with --model NAME"
        )
    return made


def make_endpoints(task: Task) -> list[Endpoint]:
    """Make the task's models, each with the terms on which it is asked.

    If tokens or dollars are limited, a model without a limit for its answers gets one, because a
    request reserves the most that it can cost.

    Raises:
        UsageError: a setting is invalid, or dollars are limited and a model has no prices.
    """
    made: list[Endpoint] = []
    budget = task.settings.budget
    for number, table in enumerate(task.settings.model, start=1):
        where = "[[model]]" if len(task.settings.model) == 1 else f"[[model]] number {number}"
        settings = dict(table)
        terms = {key: settings.pop(key) for key in _TERMS if key in settings}
        provider = "/" in str(settings.get("name", "")) and "api_base" not in settings
        use = settings.pop("use", "litellm" if provider else "openai")
        plugin = find(use, root=task.root, kind="model", builtin=MODELS)
        known = {field.name for field in fields(plugin)}
        if "max_tokens" in known and (budget.tokens is not None or budget.dollars is not None):
            share = (budget.tokens or _MAX_TOKENS * _REQUESTS) // _REQUESTS
            settings.setdefault("max_tokens", max(_MIN_TOKENS, min(share, _MAX_TOKENS)))
        model: Model = configure(plugin, settings, where, also=_TERMS)
        if isinstance(model, Beside):
            model = model.beside(task.root, {*task.files, *task.readonly})
        name = str(settings.get("name", use))
        if name in {endpoint.name for endpoint in made}:
            name = f"{name}#{number}"
        made.append(Endpoint(name, model, configure(Terms, terms, where)))
        if isinstance(model, Bounding):
            _refuse_limits(model, known, budget, where)
    return made


def _refuse_limits(
    model: Bounding, settings: Collection[str], budget: BudgetSection, where: str
) -> None:
    """Check that the model can say what a request costs at most, if that is limited.

    Raises:
        UsageError: it cannot.
    """
    bound = model.bound(Prompt("", ""), 1)
    if budget.tokens is not None and bound.tokens is None:
        raise UsageError(
            f"a limit in tokens needs a model that counts them, but the {where} does not; limit "
            "--dollars or --evaluations instead"
        )
    if budget.dollars is not None and bound.dollars is None:
        prices = (
            "price (dollars for one call)"
            if "price" in settings
            else "prompt_price and completion_price (dollars per million tokens)"
        )
        raise UsageError(
            f"a limit in dollars needs prices: set {prices} of the {where}, or limit "
            "--evaluations or --tokens instead"
        )


def make_choice(task: Task, endpoints: Sequence[Endpoint]) -> Choice:
    """Make the choice among the task's models."""
    weights = {endpoint.name: endpoint.terms.weight for endpoint in endpoints}
    return Bandit(weights) if task.settings.models.choice == "bandit" else ByWeight(weights)


def make_population(task: Task) -> Population:
    """Make an empty population with the task's archives and policies.

    Raises:
        UsageError: an archive or a policy is unknown, or its settings are invalid.
    """
    section = task.settings.islands
    several = len(task.objective.names) > 1

    def plugin(
        choice: str | Mapping[str, Any], default: str, kind: str, builtin: Mapping[str, str]
    ) -> Any:
        settings = {"use": choice} if isinstance(choice, str) else dict(choice)
        use = settings.pop("use", "") or default
        found = find(use, root=task.root, kind=kind, builtin=builtin)
        return lambda: configure(found, settings, f"[islands] {kind}")

    evolves = "no-evolution" not in task.settings.ablate
    chosen = section.archive if evolves else "first"
    archive = plugin(chosen, "pareto" if several else "best", "archive", ARCHIVES)
    policy = plugin(section.policy, "front" if several else "tournament", "policy", POLICIES)
    return Population(
        task.objective,
        lambda: Island(archive(), policy()),
        islands=section.number,
        inspirations=section.inspirations,
        migration_interval=section.migration if section.number > 1 else 0,
        migrants=section.migrants,
        trials=_TRIALS if evolves else 0,
    )


def image_packages(task: Task) -> tuple[str, ...]:
    """Return the requirements of a task's image, as lines of a requirements file.

    Raises:
        UsageError: the task names a file that does not exist.
    """
    return image.wanted_packages(task.settings.sandbox.requirements, task.root)


def make_executor(
    task: Task, workers: int, *, pickled: bytes | None = None, log: IO[bytes] | None = None
) -> LocalExecutor:
    """Make the executor of a task; `start` starts its first worker.

    Args:
        task: as loaded.
        workers: evaluations at once.
        pickled: the evaluator by cloudpickle, if it cannot be imported.
        log: receives the workers' standard error.

    Raises:
        UsageError: the sandbox is unknown, or a stage's condition is invalid.
    """
    settings = task.settings
    with_ = settings.evaluator.with_
    stages = tuple(
        Stage(
            {**with_, **stage.with_},
            tuple(Condition.parse(name, text) for name, text in stage.require.items()),
            stage.name,
        )
        for stage in settings.stage
    )
    sandbox = settings.sandbox.model_dump(exclude={"requirements"})
    use = sandbox.pop("use")
    if use == "docker":
        sandbox["image"] = sandbox["image"] or image.default_tag(image_packages(task))
    find(use, root=task.root, kind="sandbox", builtin=SANDBOXES)  # a wrong name fails here
    setup = Setup(
        EvaluatorSource(settings.evaluator.use, task.root, pickled),
        task.objective,
        stages or (Stage(with_),),
        settings.evaluator.timeout,
        SandboxSettings(**sandbox),
        SANDBOXES.get(use, use),
        task.readonly,
        task.main,
    )
    return LocalExecutor(setup, workers, log)
