"""The resolved configuration of a run: task.toml, the options laid over it, and the defaults."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from evolver.errors import UsageError
from evolver.routing.budget import Budget
from evolver.routing.endpoint import Terms
from evolver.runs.assignments import assign, parse
from evolver.search import rules
from evolver.tasks.objective import Objective
from evolver.tasks.settings import BudgetSection, TaskSettings, validate
from evolver.wording import shell

DEFAULT_EVALUATIONS = 1000
CONFIGURATION = "settings.json"
# What decides which programs there are and what they are worth: it stays as long as a run does.
_FIXED = ("task", "evaluator", "objective", "stage", "islands", "ablate")


@dataclass(frozen=True)
class Options:
    """What a user may say at the start or at a resume; None leaves it as it is.

    Attributes:
        evaluations: programs judged, in all sessions of the run together.
        seconds: of work, in all sessions together.
        dollars: that models may cost, in all sessions together.
        tokens: of models, in all sessions together.
        target: the score that is good enough.
        seed: of all random decisions; 0 where it is not given.
        workers: evaluations at once; without it one for each core.
        model: "name" at `api_base`, "provider/name", or a name of the task's; one or several.
        api_base: address of an OpenAI-compatible endpoint.
        deterministic: the same seed gives the same run.
        allow_unisolated: run candidates without isolation, where none works.
        skip_gate: start without asking whether the evaluator prefers bad programs
            (`evolver.search.gate`).
        ablate: parts of the method to leave out, of `evolver.tasks.settings.Ablation`.
        sandbox: where candidates run: "local", "docker" or a plug-in.
        set: keys of the task's task.toml with other values, each "KEY=VALUE"; the options above go
            before.
    """

    evaluations: int | None = None
    seconds: float | None = None
    dollars: float | None = None
    tokens: int | None = None
    target: float | None = None
    seed: int | None = None
    workers: int | None = None
    model: str | Sequence[str] | None = None
    api_base: str | None = None
    deterministic: bool | None = None
    allow_unisolated: bool | None = None
    skip_gate: bool | None = None
    ablate: Sequence[str] | None = None
    sandbox: str | None = None
    set: Sequence[str] | None = None

    def given(self, *names: str) -> dict[str, Any]:
        """Return those of the named options that were given."""
        return {name: value for name, value in asdict(self).items()
                if name in names and value is not None}  # fmt: skip


class Configuration(BaseModel):
    """Everything that a run was started with, as settings.json holds it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: TaskSettings
    seed: int = 0
    workers: int = Field(default=1, ge=1)
    in_flight: int = Field(default=4, ge=1)
    deterministic: bool = False
    rules: int = Field(default=1, ge=1)  # which decide; see `evolver.search.rules`

    @model_validator(mode="before")
    @classmethod
    def _of_older_runs(cls, content: Any) -> Any:
        """Leave out what earlier versions wrote: models have places of their own now."""
        if isinstance(content, Mapping):
            return {key: value for key, value in content.items() if key != "model_slots"}
        return content

    @property
    def budget(self) -> Budget:
        """When to stop."""
        return Budget(**self.task.budget.model_dump())


def resolve(settings: TaskSettings, options: Options) -> Configuration:
    """Lay the options over a task's settings and fill in the defaults.

    Raises:
        UsageError: an option makes no sense, alone or with another.
    """
    settings = _ablated(_overlay(settings, options), options.ablate)
    workers = options.workers
    if workers is None:
        cores, gpus = len(os.sched_getaffinity(0)), len(settings.sandbox.gpus)
        workers = min(cores, gpus) if gpus else cores
    deterministic = bool(options.deterministic)
    # A fixed number where runs must not depend on the machine, else enough to keep it busy.
    in_flight = 4 if deterministic else 2 * workers
    in_flight += _places(settings)
    return _checked(
        {
            "task": settings,
            "seed": options.seed or 0,
            "workers": workers,
            "in_flight": max(1, in_flight),
            "deterministic": deterministic,
            "rules": rules.CURRENT,
        }
    )


def _places(settings: TaskSettings) -> int:
    """Return how many attempts can wait for models at once; what is wrong is told later."""

    def count(table: Mapping[str, Any], key: str) -> int:
        value = table.get(key, getattr(Terms, key))
        return value if isinstance(value, int) else 1

    return sum(count(table, "concurrency") * count(table, "samples") for table in settings.model)


def extend(configuration: Configuration, options: Options) -> Configuration:
    """Lay a resume's options over the configuration of a run.

    Raises:
        UsageError: an option cannot be changed once a run has begun.
    """
    for name in ("seed", "deterministic"):
        value = getattr(options, name)
        if value is not None and value != getattr(configuration, name):
            raise UsageError(
                f"--{name} cannot change within a run; 'evolver fork DIR' goes on with another "
                "in a run of its own"
            )
    if options.ablate is not None and tuple(options.ablate) != configuration.task.ablate:
        raise UsageError(
            "--ablate cannot change within a run; 'evolver fork DIR' goes on without it in a "
            "run of its own"
        )
    if options.target is not None and configuration.rules == 1:
        # By those rules a target is a score; what is said now is in the metric's own unit.
        options = replace(options, target=_own(configuration.task, options.target))
    update: dict[str, Any] = {"task": _overlay(configuration.task, options)}
    for section in _FIXED:
        if getattr(update["task"], section) != getattr(configuration.task, section):
            given = " ".join(
                f"--set {shell(one)}" for one in options.set or () if parse(one)[0][0] == section
            )
            raise UsageError(
                f"{given}: {section} cannot change within a run, whose programs would no longer "
                f"be comparable; go on with it in a run of its own: evolver fork DIR {given}"
            )
    if options.workers is not None:
        update["workers"] = options.workers
    if not configuration.deterministic:
        grown = 2 * (update.get("workers", configuration.workers) - configuration.workers)
        grown += _places(update["task"]) - _places(configuration.task)
        update["in_flight"] = max(1, configuration.in_flight + grown)
    return _checked({**dict(configuration), **update})


def with_own_target(configuration: Configuration) -> TaskSettings:
    """Return a run's settings with its target in the metric's own unit, as today's rules read it.

    By the rules of older runs it is a score, which is higher where it is better.
    """
    settings = configuration.task
    target = settings.budget.target
    if configuration.rules > 1 or target is None:
        return settings
    budget = settings.budget.model_copy(update={"target": _own(settings, target)})
    return settings.model_copy(update={"budget": budget})


def _own(settings: TaskSettings, target: float) -> float:
    """Turn a target that is a score into one in the metric's own unit, or back."""
    section = settings.objective
    return Objective(section.maximize, section.minimize, (), section.reference).value(target)


def _ablated(settings: TaskSettings, ablate: Sequence[str] | None) -> TaskSettings:
    """Say which parts of the method are left out; the choice of models is narrowed at once."""
    if ablate is not None:
        settings = validate(TaskSettings, {**dict(settings), "ablate": ablate}, "--ablate")
    if "small-model" not in settings.ablate or (ablate is None and len(settings.model) == 1):
        return settings  # a fork's are narrowed already
    if len(settings.model) < 2:
        raise UsageError(
            "--ablate small-model keeps the last of several models; name at least two in [[model]]"
        )
    return settings.model_copy(update={"model": settings.model[-1:]})


def _overlay(settings: TaskSettings, options: Options) -> TaskSettings:
    settings = assign(settings, options.set or ())
    limits = options.given("evaluations", "seconds", "dollars", "tokens", "target")
    budget = validate(
        BudgetSection, {**settings.budget.model_dump(), **limits}, "the budget's options"
    )
    if all(value is None for value in budget.model_dump().values()):
        budget = BudgetSection(evaluations=DEFAULT_EVALUATIONS)
    update: dict[str, Any] = {"budget": budget}
    models = settings.model
    if options.model:
        names = [options.model] if isinstance(options.model, str) else options.model
        known = {table.get("name"): table for table in models}
        models = tuple(known.get(name, {"name": name}) for name in names)
    if options.api_base is not None:
        if not models:
            raise UsageError("--api-base needs --model NAME: which model is served there?")
        models = tuple({**table, "api_base": options.api_base} for table in models)
    update["model"] = models
    if options.allow_unisolated is not None:
        update["sandbox"] = settings.sandbox.model_copy(
            update={"allow_unisolated": options.allow_unisolated}
        )
    return in_sandbox(settings.model_copy(update=update), options.sandbox)


def in_sandbox(settings: TaskSettings, use: str | None) -> TaskSettings:
    """Lay the choice of a sandbox over a task's own; None leaves it as it is."""
    if use is None:
        return settings
    return settings.model_copy(update={"sandbox": settings.sandbox.model_copy(update={"use": use})})


def _checked(content: Mapping[str, Any]) -> Configuration:
    configuration = validate(Configuration, content, "the options")
    if configuration.rules > rules.CURRENT:
        raise UsageError(
            "this run follows the rules of a newer evolver; upgrade evolver to open it"
        )
    gpus = configuration.task.sandbox.gpus
    if gpus and configuration.workers > len(gpus):
        raise UsageError(
            f"{configuration.workers} workers cannot share {len(gpus)} GPUs; give --workers "
            f"{len(gpus)}, or more numbers in [sandbox] gpus"
        )
    budget = configuration.budget
    if configuration.deterministic and budget.seconds is not None:
        raise UsageError(
            "--deterministic cannot keep to a budget in seconds, which no two machines spend "
            "alike; give --evaluations instead"
        )
    return configuration


def read(directory: Path) -> Configuration:
    """Read the configuration of a run.

    Raises:
        UsageError: it is missing, torn, or was changed into something invalid.
    """
    path = directory / CONFIGURATION
    if not path.is_file():
        raise UsageError(f"{directory} holds no run (no {CONFIGURATION} in it)")
    try:
        return decoded(path.read_text(encoding="utf-8"), str(path))
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError
        raise UsageError(f"{path} is damaged: {error}; the run cannot go on without it") from error


def write(directory: Path, configuration: Configuration) -> None:
    """Write the configuration of a run, whole or not at all."""
    path = directory / CONFIGURATION
    partial = path.with_suffix(".partial")
    partial.write_text(encoded(configuration, indent=2), encoding="utf-8")
    partial.replace(path)


def encoded(configuration: Configuration, *, indent: int | None = None) -> str:
    """Return a configuration as JSON."""
    # By json, which writes Infinity where pydantic would write null; TOML's dates become text.
    return json.dumps(configuration.model_dump(by_alias=True), indent=indent, default=str)


def decoded(text: str, where: str) -> Configuration:
    """Read a configuration from JSON.

    Args:
        text: what `encoded` returned.
        where: named in error messages.

    Raises:
        ValueError: it is no JSON.
        UsageError: it is no configuration.
    """
    content: Mapping[str, Any] = json.loads(text)
    return validate(Configuration, content, where)
