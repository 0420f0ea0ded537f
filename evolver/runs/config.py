"""The configuration of a run: task.toml, options that override it, and defaults."""

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
# Sections that decide which programs there are and their values: fixed for the life of a run.
_FIXED = ("task", "evaluator", "objective", "stage", "islands", "ablate")


@dataclass(frozen=True)
class Options:
    """What a user may set at the start or at a resume; None keeps the present value.

    Attributes:
        evaluations: most evaluations, in all sessions of the run together.
        seconds: most working time, in all sessions together.
        dollars: most cost of models, in all sessions together.
        tokens: most tokens of models, in all sessions together.
        target: a value that is good enough, in the metric's own unit, or the hypervolume.
        seed: of all random decisions; 0 by default.
        workers: evaluations at once; by default one for each core.
        model: "name" at `api_base`, "provider/name", or a model of the task; one or several.
        api_base: address of an OpenAI-compatible endpoint.
        deterministic: the same seed gives the same run.
        allow_unisolated: run candidates without isolation if this host offers none.
        skip_gate: start without judging known-bad programs (`evolver.search.gate`).
        ablate: parts of the method to leave out; see `evolver.tasks.settings.Ablation`.
        sandbox: where candidates run: "local", "docker" or a plug-in.
        set: other values for keys of task.toml, each "KEY=VALUE"; the options above override
            them.
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
    """All settings of a run, as settings.json holds them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: TaskSettings
    seed: int = 0
    workers: int = Field(default=1, ge=1)
    in_flight: int = Field(default=4, ge=1)
    deterministic: bool = False
    rules: int = Field(default=1, ge=1)  # the version; see `evolver.search.rules`

    @model_validator(mode="before")
    @classmethod
    def _of_older_runs(cls, content: Any) -> Any:
        """Leave out a key of earlier versions."""
        if isinstance(content, Mapping):
            return {key: value for key, value in content.items() if key != "model_slots"}
        return content

    @property
    def budget(self) -> Budget:
        """When to stop."""
        return Budget(**self.task.budget.model_dump())


def resolve(settings: TaskSettings, options: Options) -> Configuration:
    """Override a task's settings by the options, and fill in the defaults.

    Raises:
        UsageError: an option is invalid, alone or with another.
    """
    settings = _ablated(_overlay(settings, options), options.ablate)
    workers = options.workers
    if workers is None:
        cores, gpus = len(os.sched_getaffinity(0)), len(settings.sandbox.gpus)
        workers = min(cores, gpus) if gpus else cores
    deterministic = bool(options.deterministic)
    # Deterministic runs must not depend on the machine; others keep it busy.
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
    """Return how many attempts can wait for models at once; invalid values are refused later."""

    def count(table: Mapping[str, Any], key: str) -> int:
        value = table.get(key, getattr(Terms, key))
        return value if isinstance(value, int) else 1

    return sum(count(table, "concurrency") * count(table, "samples") for table in settings.model)


def extend(configuration: Configuration, options: Options) -> Configuration:
    """Override the configuration of a run by a resume's options.

    Raises:
        UsageError: an option is fixed once a run has begun.
    """
    for name in ("seed", "deterministic"):
        value = getattr(options, name)
        if value is not None and value != getattr(configuration, name):
            raise UsageError(
                f"--{name} cannot change within a run; to go on with another one in a new run, "
                f"use 'evolver fork DIR --{name} ...'"
            )
    if options.ablate is not None and tuple(options.ablate) != configuration.task.ablate:
        raise UsageError(
            "--ablate cannot change within a run; to go on with another one in a new run, use "
            "'evolver fork DIR --ablate PART'"
        )
    if options.target is not None and configuration.rules == 1:
        # By those rules a target is a score, but the option is in the metric's own unit.
        options = replace(options, target=_own(configuration.task, options.target))
    update: dict[str, Any] = {"task": _overlay(configuration.task, options)}
    for section in _FIXED:
        if getattr(update["task"], section) != getattr(configuration.task, section):
            given = " ".join(
                f"--set {shell(one)}" for one in options.set or () if parse(one)[0][0] == section
            )
            raise UsageError(
                f"{given}: {section} cannot change within a run, because its programs would no "
                f"longer be comparable; to go on in a new run: evolver fork DIR {given}"
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

    By the rules of older runs a target is a score: higher is better.
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
    """Set the parts of the method to leave out; "small-model" keeps only the last model."""
    if ablate is not None:
        settings = validate(TaskSettings, {**dict(settings), "ablate": ablate}, "--ablate")
    if "small-model" not in settings.ablate or (ablate is None and len(settings.model) == 1):
        return settings  # a fork has only that model already
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
            raise UsageError("--api-base needs a model; add --model NAME, as it is served there")
        models = tuple({**table, "api_base": options.api_base} for table in models)
    update["model"] = models
    if options.allow_unisolated is not None:
        update["sandbox"] = settings.sandbox.model_copy(
            update={"allow_unisolated": options.allow_unisolated}
        )
    return in_sandbox(settings.model_copy(update=update), options.sandbox)


def in_sandbox(settings: TaskSettings, use: str | None) -> TaskSettings:
    """Override a task's choice of sandbox; None keeps it."""
    if use is None:
        return settings
    return settings.model_copy(update={"sandbox": settings.sandbox.model_copy(update={"use": use})})


def _checked(content: Mapping[str, Any]) -> Configuration:
    configuration = validate(Configuration, content, "the options")
    if configuration.rules > rules.CURRENT:
        raise UsageError("a newer evolver wrote this run; upgrade evolver to open it")
    gpus = configuration.task.sandbox.gpus
    if gpus and configuration.workers > len(gpus):
        raise UsageError(
            f"{configuration.workers} workers cannot share {len(gpus)} GPUs; give --workers "
            f"{len(gpus)}, or more numbers in [sandbox] gpus"
        )
    budget = configuration.budget
    if configuration.deterministic and budget.seconds is not None:
        raise UsageError(
            "--deterministic cannot have a budget in seconds, because machines differ in speed; "
            "give --evaluations instead"
        )
    return configuration


def read(directory: Path) -> Configuration:
    """Read the configuration of a run.

    Raises:
        UsageError: it is missing, incomplete or invalid.
    """
    path = directory / CONFIGURATION
    if not path.is_file():
        raise UsageError(f"{directory} holds no run (no {CONFIGURATION} in it)")
    try:
        return decoded(path.read_text(encoding="utf-8"), str(path))
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError
        raise UsageError(f"{path} is damaged: {error}; restore it from a copy to go on") from error


def write(directory: Path, configuration: Configuration) -> None:
    """Write the configuration of a run, completely or not at all."""
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
        where: its place, for error messages.

    Raises:
        ValueError: it is not JSON.
        UsageError: it is not a configuration.
    """
    content: Mapping[str, Any] = json.loads(text)
    return validate(Configuration, content, where)
