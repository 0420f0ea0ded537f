"""The resolved configuration of a run: task.toml, the options laid over it, and the defaults."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from evolver.budget import Budget
from evolver.errors import UsageError
from evolver.task import BudgetSection, TaskSettings, validate

_DEFAULT_EVALUATIONS = 1000
CONFIGURATION = "settings.json"


@dataclass(frozen=True)
class Options:
    """What a user may say at the start or at a resume; None leaves it as it is.

    Attributes:
        evaluations: total over all sessions of the run; so are seconds, dollars and tokens.
        model: "name" at `api_base`, or "provider/name".
        workers: evaluations at once; default: one per core.
        skip_gate: start without asking whether the evaluator prefers bad programs (`evolver.gate`).
    """

    evaluations: int | None = None
    seconds: float | None = None
    dollars: float | None = None
    tokens: int | None = None
    target: float | None = None
    seed: int | None = None
    workers: int | None = None
    model: str | None = None
    api_base: str | None = None
    deterministic: bool | None = None
    allow_unisolated: bool | None = None
    skip_gate: bool | None = None

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
    model_slots: int = Field(default=8, ge=1)
    deterministic: bool = False

    @property
    def budget(self) -> Budget:
        """When to stop."""
        return Budget(**self.task.budget.model_dump())


def resolve(settings: TaskSettings, options: Options) -> Configuration:
    """Lay the options over a task's settings and fill in the defaults.

    Raises:
        UsageError: an option makes no sense, alone or with another.
    """
    settings = _overlay(settings, options)
    workers = len(os.sched_getaffinity(0)) if options.workers is None else options.workers
    deterministic = bool(options.deterministic)
    # A fixed number where runs must not depend on the machine, else enough to keep it busy.
    in_flight = 4 if deterministic else 2 * workers
    model_slots = 8
    if settings.model:
        in_flight += model_slots
    return _checked(
        {
            "task": settings,
            "seed": options.seed or 0,
            "workers": workers,
            "in_flight": max(1, in_flight),
            "model_slots": model_slots,
            "deterministic": deterministic,
        }
    )


def extend(configuration: Configuration, options: Options) -> Configuration:
    """Lay a resume's options over the configuration of a run.

    Raises:
        UsageError: an option cannot be changed once a run has begun.
    """
    for name in ("seed", "deterministic"):
        value = getattr(options, name)
        if value is not None and value != getattr(configuration, name):
            raise UsageError(
                f"--{name} cannot change within a run; start a new one with "
                "'evolver run TASK --from DIR'"
            )
    update: dict[str, Any] = {"task": _overlay(configuration.task, options)}
    if options.workers is not None:
        update["workers"] = options.workers
        if not configuration.deterministic:
            grown = 2 * (options.workers - configuration.workers)
            update["in_flight"] = max(1, configuration.in_flight + grown)
    return _checked({**dict(configuration), **update})


def _overlay(settings: TaskSettings, options: Options) -> TaskSettings:
    limits = options.given("evaluations", "seconds", "dollars", "tokens", "target")
    budget = validate(
        BudgetSection, {**settings.budget.model_dump(), **limits}, "the budget's options"
    )
    if all(value is None for value in budget.model_dump().values()):
        budget = BudgetSection(evaluations=_DEFAULT_EVALUATIONS)
    update: dict[str, Any] = {"budget": budget}
    if options.model is not None:
        entry: dict[str, Any] = {"name": options.model}
        if options.api_base is not None:
            entry["api_base"] = options.api_base
        update["model"] = (entry,)
    elif options.api_base is not None:
        if not settings.model:
            raise UsageError("--api-base needs --model NAME: which model is served there?")
        update["model"] = tuple({**m, "api_base": options.api_base} for m in settings.model)
    if options.allow_unisolated is not None:
        update["sandbox"] = settings.sandbox.model_copy(
            update={"allow_unisolated": options.allow_unisolated}
        )
    return settings.model_copy(update=update)


def _checked(content: Mapping[str, Any]) -> Configuration:
    configuration = validate(Configuration, content, "the options")
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
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError
        raise UsageError(f"{path} is damaged: {error}; the run cannot go on without it") from error
    return validate(Configuration, content, str(path))


def write(directory: Path, configuration: Configuration) -> None:
    """Write the configuration of a run, whole or not at all."""
    path = directory / CONFIGURATION
    partial = path.with_suffix(".partial")
    # By json, which writes Infinity where pydantic would write null; TOML's dates become text.
    content = json.dumps(configuration.model_dump(by_alias=True), indent=2, default=str)
    partial.write_text(content, encoding="utf-8")
    partial.replace(path)
