"""The settings of a task.toml: a class for each section, and the validation of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from evolver.errors import UsageError
from evolver.tasks.mistakes import sentence
from evolver.tasks.plugins import nearest

_LEAST_LIMIT = 0.5  # seconds: starting a process and importing numpy take a part of it


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


# The ablations of Novikov 2025 (AlphaEvolve, https://arxiv.org/abs/2506.13131).
Ablation = Literal["no-evolution", "no-context", "one-region", "small-model"]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]  # or one name without a list


class TaskSection(_Section):
    """[task]: what to evolve.

    Attributes:
        description: text for prompts.
        root: the folder that `program`, `edit` and `context` are relative to; itself relative to
            the task's folder: "..", for instance, for a program that is evolved in place.
        program: files or globs that go into the sandbox; the first Python file is the module
            whose functions are called.
        edit: the files that may be edited; without it all of them, or their marked regions.
        context: files or globs that prompts show and candidates do not get.
    """

    description: str = ""
    root: str = "."
    program: Names = ()
    edit: Names = ()
    context: Names = ()


class EvaluatorSection(_Section):
    """[evaluator]: how to score a program.

    Attributes:
        use: "file.py:name" in the task's folder, "package.module:name", or the name of an
            evaluator that ships with evolver or is installed.
        timeout: most seconds for one evaluation.
        times_seed: a child's evaluation may take this many times as long as the seed's, and at
            least half a second; with 0, or with --deterministic, only `timeout` limits it.
        with: the evaluator's own settings: keywords of the function, or fields of the class.
        must_reject: files or globs of known-bad programs; a run does not start if the evaluator
            prefers one of them to the seed.
    """

    use: str
    timeout: float = Field(default=10.0, gt=0)
    times_seed: float = Field(default=20.0, ge=0)
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    must_reject: Names = ()

    def limit(self, seed: float) -> float:
        """Return the seconds that an evaluation may take where the seed's took `seed` seconds.

        A search makes many programs that never end. Each of them costs this time.
        """
        if self.times_seed == 0:
            return self.timeout
        return min(self.timeout, max(_LEAST_LIMIT, self.times_seed * seed))


class ObjectiveSection(_Section):
    """[objective]: which metrics to optimise, and how.

    Attributes:
        maximize: metrics; higher is better.
        minimize: metrics; lower is better.
        require: metric -> condition such as "<= 12"; a program that violates one is rejected.
        reference: metric -> the worst value that counts; needed with several objectives, whose
            score is the hypervolume from this point.
        units: metric -> its unit, for prompts.
        repeats: how often a run measures what it announces, on fresh secret inputs; without it 1
            if the evaluator repeats itself exactly, else some 20, fewer if they take long.
    """

    maximize: Names = ()
    minimize: Names = ()
    require: dict[str, str] = Field(default_factory=dict)
    reference: dict[str, float] = Field(default_factory=dict)
    units: dict[str, str] = Field(default_factory=dict)
    repeats: int | None = Field(default=None, ge=1, le=30, examples=[20])


class StageSection(_Section):
    """[[stage]]: one step of a cascade, the cheapest first; the metrics of the last one count.

    Attributes:
        name: for reports; if the evaluator's file has a function of that name, the stage calls it.
        with: settings that differ from [evaluator] with.
        require: metric -> condition; a program that violates one does not reach the next stage.
    """

    name: str = ""
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    require: dict[str, str] = Field(default_factory=dict)


class PromptsSection(_Section):
    """[prompts]: how prompts are made.

    Attributes:
        folder: the task's own templates; without it "prompts", if that folder exists.
        tokens: most tokens of a prompt, roughly; the rest is cut.
        vary: whether instructions vary in their phrasing.
    """

    folder: str = ""
    tokens: int = Field(default=32_000, ge=500)
    vary: bool = True


class IslandsSection(_Section):
    """[islands]: the shape of the population.

    Attributes:
        number: of islands, which evolve separately except for migration.
        archive: what an island keeps: a name, or a table with `use` and settings; without it
            "best", or "pareto" with several objectives.
        policy: how parents are selected: a name, or a table with `use` and settings; without it
            "tournament", or "front" with several objectives.
        migration: finished attempts between migrations; 0: never.
        migrants: programs that move from an island to the next one.
        inspirations: other programs that an operator sees besides the parent.
    """

    number: int = Field(default=4, ge=1, le=1000)
    archive: str | dict[str, Any] = ""
    policy: str | dict[str, Any] = ""
    migration: int = Field(default=200, ge=0)
    migrants: int = Field(default=1, ge=1)
    inspirations: int = Field(default=2, ge=0)


class BudgetSection(_Section):
    """[budget]: when to stop: at the first limit that is reached.

    Attributes:
        evaluations: calls of the evaluator, including the seed's and those of tuning; 1000 if no
            limit is set.
        seconds: working time of all sessions together.
        dollars: cost of models.
        tokens: of models, prompts and answers together.
        target: a value that is good enough: of the only metric in its own unit, or the
            hypervolume.
    """

    evaluations: int | None = Field(default=None, ge=1, examples=[1000])
    seconds: float | None = Field(default=None, gt=0, examples=[600.0])
    dollars: float | None = Field(default=None, ge=0, examples=[5.0])
    tokens: int | None = Field(default=None, ge=0, examples=[1_000_000])
    target: float | None = Field(default=None, examples=[1.0])


class SandboxSection(_Section):
    """[sandbox]: where candidates run, and what they may use.

    Attributes:
        use: "local" or "docker", or a plug-in.
        image: the image for docker; without it the one that `evolver sandbox build` makes.
        requirements: packages of that image besides numpy, or requirements files.
        gpus: numbers of the GPUs for candidates, one candidate on each.
        preload: modules imported once, before candidates are forked.
        memory: most MiB for all processes of a candidate, not counting the preloaded modules.
        processes: most processes of one candidate; it may have eight times as many threads.
        network: whether candidates can use the network.
        visible: paths of this machine that candidates may read, such as "/opt/julia".
        result_bytes: most bytes of one value that a candidate returns.
        require: the weakest isolation to accept; without it B.
        allow_unisolated: accept tier C, which stops accidents but not attacks.
    """

    use: str = "local"
    image: str = ""
    requirements: Names = ()
    gpus: tuple[int, ...] = ()
    preload: tuple[str, ...] = ()
    memory: int = Field(default=1024, ge=16)
    processes: int = Field(default=64, ge=1)
    network: bool = False
    visible: tuple[str, ...] = ()
    result_bytes: int = Field(default=16 * 2**20, ge=1024)
    require: Literal["", "A", "B", "C"] = ""
    allow_unisolated: bool = False


class ModelsSection(_Section):
    """[models]: how an attempt's model is chosen among those of [[model]].

    Attributes:
        choice: "weight", or "bandit", which learns how much each model improves for its price.
    """

    choice: Literal["weight", "bandit"] = "weight"


class TaskSettings(_Section):
    """A whole task.toml, as it was read and with command-line options laid over it.

    Attributes:
        model_share: share of the evaluations for operators with a model; genetic ones get the rest.
        ablate: parts of the method to leave out, to see their effect.
    """

    task: TaskSection
    evaluator: EvaluatorSection
    objective: ObjectiveSection = ObjectiveSection()
    stage: tuple[StageSection, ...] = ()
    model: tuple[dict[str, Any], ...] = ()
    models: ModelsSection = ModelsSection()
    operator: tuple[dict[str, Any], ...] = ()
    model_share: float = Field(default=0.7, gt=0, lt=1)
    prompts: PromptsSection = PromptsSection()
    ablate: Annotated[tuple[Ablation, ...], BeforeValidator(_listed)] = ()
    islands: IslandsSection = IslandsSection()
    budget: BudgetSection = BudgetSection()
    sandbox: SandboxSection = SandboxSection()


#: Keys of a task.toml that are lists of tables, and the key by which one of them is named.
TABLES = {"operator": "use", "model": "name", "stage": "name"}

_M = TypeVar("_M", bound=BaseModel)


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the valid keys of the table that holds a wrong key."""
    current: type[BaseModel] = model
    for part in location:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part)
        annotation = None if field is None else field.annotation
        nested = getattr(annotation, "__args__", (annotation,))
        found = [t for t in nested if isinstance(t, type) and issubclass(t, BaseModel)]
        if found:
            current = found[0]
    return [field.alias or name for name, field in current.model_fields.items()]


def validate(model: type[_M], content: Mapping[str, Any], source: str) -> _M:
    """Validate settings.

    Raises:
        UsageError: the first mistake, in one sentence; an unknown key with the nearest known one.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        location = first["loc"]
        place = ".".join(str(part) for part in location)
        if first["type"] == "extra_forbidden":
            known = _known_keys(model, location[:-1])
            raise UsageError(
                f"{source}: unknown key '{place}'; {nearest(str(location[-1]), known)}"
            ) from error
        if first["type"] == "missing":
            raise UsageError(f"{source}: '{place}' is missing; add it") from error
        raise UsageError(f"{source}: {sentence(error.errors(), TABLES)}") from error
