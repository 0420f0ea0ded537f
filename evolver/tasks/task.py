"""Load a task: a folder with a task.toml, the seed program and the evaluator."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from evolver.errors import UsageError
from evolver.programs.edits import find_regions, first_region_alone
from evolver.tasks.mistakes import sentence
from evolver.tasks.objective import Condition, Objective
from evolver.tasks.plugins import nearest
from evolver.types import Brief, Files, PromptSettings

TASK_FILE = "task.toml"
RUNS = "runs"  # where runs go without --out
_PROMPTS = "prompts"
_ASIDE = (".*", RUNS, "__pycache__", "*.pyc", "node_modules")
_DATABASE = "evolver.db"  # what a run is known by; `store`, which is above, writes it
_LEAST_LIMIT = 0.5  # seconds: starting a process and importing numpy take a part of it
_LARGEST_FILE = 16 * 2**20  # bytes; a program is source, not data


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


# The ablations of Novikov 2025 (AlphaEvolve, https://arxiv.org/abs/2506.13131).
Ablation = Literal["no-evolution", "no-context", "one-region", "small-model"]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]  # one name may stand without a list


class TaskSection(_Section):
    """[task]: what to evolve.

    Attributes:
        description: goes into prompts.
        root: the folder that `program`, `edit` and `context` are relative to, itself relative to
            the task's: "..", for instance, for a program that is evolved where it lies.
        program: files or globs that go into the sandbox; the first Python file is the module
            whose functions are called.
        edit: those of them that may be edited; without it all, or the marked regions.
        context: files or globs that prompts show, and that no candidate gets.
    """

    description: str = ""
    root: str = "."
    program: Names = ()
    edit: Names = ()
    context: Names = ()


class EvaluatorSection(_Section):
    """[evaluator]: how to judge it.

    Attributes:
        use: "file.py:name" in the task's folder, "package.module:name", or the name of one that
            comes with evolver or is installed.
        timeout: seconds for one evaluation, at most.
        times_seed: how many times longer than the seed's the evaluation of a child may take, at
            least half a second; 0, and in a run with --deterministic: as long as `timeout` allows.
        with: the evaluator's own settings: keywords of the function, or fields of the class.
        must_reject: files or globs of programs that it must not prefer to the seed; a run does not
            start if it does.
    """

    use: str
    timeout: float = Field(default=10.0, gt=0)
    times_seed: float = Field(default=20.0, ge=0)
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    must_reject: Names = ()

    def limit(self, seed: float) -> float:
        """Return the seconds that an evaluation may take where the seed's took `seed` seconds.

        A search makes many programs that loop for ever. Each costs this long.
        """
        if self.times_seed == 0:
            return self.timeout
        return min(self.timeout, max(_LEAST_LIMIT, self.times_seed * seed))


class ObjectiveSection(_Section):
    """[objective]: which metrics count, and how.

    Attributes:
        maximize: metrics of which more is better.
        minimize: metrics of which less is better.
        require: metric -> condition such as "<= 12"; a program that misses one is rejected.
        reference: metric -> the worst value that counts; needed with several objectives, whose
            score is the hypervolume from there.
        units: metric -> what it is measured in, for prompts.
        repeats: measurements of what is announced, on fresh secret inputs; without it 1 where the
            evaluator repeats itself exactly, else some 20, fewer where they take long.
    """

    maximize: Names = ()
    minimize: Names = ()
    require: dict[str, str] = Field(default_factory=dict)
    reference: dict[str, float] = Field(default_factory=dict)
    units: dict[str, str] = Field(default_factory=dict)
    repeats: int | None = Field(default=None, ge=1, le=30, examples=[20])


class StageSection(_Section):
    """[[stage]]: one step of a cascade, the cheapest first; the last one's metrics count.

    Attributes:
        name: for reports; a scoring function of that name in the evaluator's file is the stage's.
        with: settings that differ from [evaluator] with.
        require: metric -> condition; a program that misses one goes no further.
    """

    name: str = ""
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    require: dict[str, str] = Field(default_factory=dict)


class PromptsSection(_Section):
    """[prompts]: what models are sent.

    Attributes:
        folder: the task's own templates; without it "prompts", where there is one.
        tokens: a prompt's length, roughly; the rest is cut.
        vary: whether instructions come in several phrasings.
    """

    folder: str = ""
    tokens: int = Field(default=32_000, ge=500)
    vary: bool = True


class IslandsSection(_Section):
    """[islands]: the shape of the population.

    Attributes:
        number: of islands, which evolve apart but for migration.
        archive: what an island keeps: a name, or a table with `use` and settings; without it
            "best", or "pareto" with several objectives.
        policy: how a parent is chosen: a name, or a table with `use` and settings; without it
            "tournament", or "front" with several objectives.
        migration: finished attempts between migrations; 0: never.
        migrants: programs that go from an island to the next one.
        inspirations: other programs that an operator sees beside the parent.
    """

    number: int = Field(default=4, ge=1, le=1000)
    archive: str | dict[str, Any] = ""
    policy: str | dict[str, Any] = ""
    migration: int = Field(default=200, ge=0)
    migrants: int = Field(default=1, ge=1)
    inspirations: int = Field(default=2, ge=0)


class BudgetSection(_Section):
    """[budget]: when to stop; the first limit reached counts.

    Attributes:
        evaluations: calls of the evaluator, the seed's and those of tuning included; 1000 where no
            limit at all is set.
        seconds: of work, over all sessions.
        dollars: that models cost.
        tokens: of models, prompts and answers together.
        target: what is good enough: of the only metric in its own unit, or the hypervolume.
    """

    evaluations: int | None = Field(default=None, ge=1, examples=[1000])
    seconds: float | None = Field(default=None, gt=0, examples=[600.0])
    dollars: float | None = Field(default=None, ge=0, examples=[5.0])
    tokens: int | None = Field(default=None, ge=0, examples=[1_000_000])
    target: float | None = Field(default=None, examples=[1.0])


class SandboxSection(_Section):
    """[sandbox]: what a candidate may use.

    Attributes:
        use: "local" or "docker", or a plug-in.
        image: of docker; without it the one that `evolver sandbox build` makes.
        requirements: packages in that image, or requirements files, beside numpy.
        gpus: numbers of the GPUs that candidates use, one candidate each.
        preload: modules imported once, before candidates are forked.
        memory: MiB that all processes of a candidate may have in memory, beside the preload.
        processes: most processes of one candidate; it may have eight times as many threads.
        network: whether candidates reach the network.
        visible: paths of this machine that they may read, such as "/opt/julia".
        result_bytes: most bytes of one value that a candidate returns.
        require: the weakest isolation accepted; without it B.
        allow_unisolated: accept C, which stops accidents and no attack.
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
        choice: "weight", or "bandit", which learns what each is worth for its price.
    """

    choice: Literal["weight", "bandit"] = "weight"


class TaskSettings(_Section):
    """A whole task.toml, as it was read and with command-line options laid over it.

    Attributes:
        model_share: part of the evaluations that operators with a model have, beside genetic ones.
        ablate: parts of the method left out, to see what each is worth.
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
    """Return the keys that stand where a wrong one was found."""
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
        UsageError: the first mistake, as one sentence; for an unknown key with the nearest one.
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


@dataclass(frozen=True)
class Task:
    """A task as loaded: its settings, and the contents of its files."""

    name: str
    root: Path  # the task's folder
    settings: TaskSettings
    files: Files  # editable; paths relative to `program_root`, as are those of `readonly`
    readonly: Files
    context: Mapping[str, str]
    main: str = ""  # the first Python file that [task] program names, editable or not
    must_reject: Files = field(default_factory=dict)  # known-bad programs, each one file

    @property
    def program_root(self) -> Path:
        """The folder that the program's files and the context lie in."""
        return (self.root / self.settings.task.root).resolve()

    @cached_property
    def objective(self) -> Objective:
        """Which metrics count."""
        section = self.settings.objective
        return Objective(
            section.maximize,
            section.minimize,
            tuple(Condition.parse(name, text) for name, text in section.require.items()),
            section.reference,
        )

    @cached_property
    def base(self) -> str:
        """Hash of the files that never change."""
        digest = hashlib.sha256()
        for path in sorted(self.readonly):
            size = len(self.readonly[path])
            digest.update(f"{path}\0{size}\0".encode("utf-8", "surrogateescape"))
            digest.update(self.readonly[path])
        return digest.hexdigest()

    @property
    def program_files(self) -> Iterator[str]:
        """Paths of the files below `program_root`."""
        yield from (*self.files, *self.readonly, *self.context)

    @property
    def named(self) -> Iterator[str]:
        """Paths of other files that the settings name, and of those that they may name."""
        yield from self.must_reject
        settings = self.settings
        tables = (*settings.operator, *settings.model)
        plugins = (
            settings.evaluator.use,
            settings.sandbox.use,
            *(table.get("use", "") for table in tables),
            *(
                choice if isinstance(choice, str) else choice.get("use", "")
                for choice in (settings.islands.archive, settings.islands.policy)
            ),
        )
        yield from (use.rpartition(":")[0] for use in plugins if isinstance(use, str))
        if settings.prompts.folder:
            yield settings.prompts.folder

    @cached_property
    def prompts(self) -> str:
        """Folder of the task's own prompt templates; "" for none.

        Raises:
            UsageError: the settings name one that is not there.
        """
        named = self.settings.prompts.folder
        folder = self.root / (named or _PROMPTS)
        is_inside = not Path(named).is_absolute() and ".." not in Path(named).parts
        if folder.is_dir() and is_inside:
            return str(folder)
        if named:
            raise UsageError(
                f"[prompts] folder: '{named}' is no folder in {self.root}; put the templates there"
            )
        return ""

    @cached_property
    def brief(self) -> Brief:
        """What operators may know."""
        return Brief(
            description=self.settings.task.description,
            seed=self.files,
            readonly=self.readonly,
            context=self.context,
            objectives=self.objective.directions,
            require={c.metric: f"{c.comparison} {c.bound:g}" for c in self.objective.require},
            units=self.settings.objective.units,
            prompts=PromptSettings(
                self.prompts,
                self.settings.prompts.tokens,
                self.settings.prompts.vary,
                explain="no-context" not in self.settings.ablate,
            ),
        )


def load_task(folder: Path) -> Task:
    """Load a task folder.

    Raises:
        UsageError: something is missing or wrong; the message says what to do.
    """
    folder = folder.resolve()
    if folder.name == TASK_FILE and folder.is_file():
        folder = folder.parent
    path = folder / TASK_FILE
    if not folder.exists():
        raise UsageError(f"{folder} does not exist; name the folder of a task")
    if not path.is_file():
        raise UsageError(
            f"{folder} has no {TASK_FILE}; make one with 'evolver init PROGRAM SCORING_FUNCTION'"
        )
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    settings = validate(TaskSettings, content, str(path))
    return assemble_task(folder.name, folder, settings)


def assemble_task(
    name: str, root: Path, settings: TaskSettings, *, is_recorded: bool = False
) -> Task:
    """Read the files that the settings name.

    Args:
        name: of the task.
        root: its folder.
        settings: what its task.toml says.
        is_recorded: it is a run's own copy; see `markers`.

    Raises:
        UsageError: a pattern matches nothing, a file is outside the folder, markers do not pair.
    """
    root = root.resolve()  # whoever works on it may stand elsewhere
    section = settings.task
    source = (root / section.root).resolve()
    if not source.is_dir():
        raise UsageError(f"{root / TASK_FILE}: [task] root: {source} is no folder; correct it")
    bad = _read(root, settings.evaluator.must_reject, "[evaluator] must_reject")
    evaluator = settings.evaluator.use.rpartition(":")[0]
    judges = {os.path.relpath(root / path, source) for path in (evaluator, *bad)}
    patterns = [*section.program, *section.edit]
    program = _without(judges, _read(source, patterns, "[task] program"), patterns)
    if not program:
        raise UsageError(f"{root / TASK_FILE}: [task] program names no file; add the seed program")
    wanted = _read(source, section.edit, "[task] edit") if section.edit else program
    if "one-region" in settings.ablate:
        wanted = first_region_alone(wanted)
        program |= wanted
    regions = find_regions(wanted, is_recorded=is_recorded)
    paths = {region.path for region in regions}
    files = {path: content for path, content in program.items() if path in paths}
    context = _without(judges, _read(source, section.context, "[task] context"), section.context)
    task = Task(
        name,
        root,
        settings,
        files,
        {path: content for path, content in program.items() if path not in paths},
        {path: content.decode("utf-8", "replace") for path, content in context.items()},
        next((path for path in program if path.endswith(".py")), ""),
        bad,
    )
    _ = task.objective, task.prompts  # a mistake is told now, not at the first score
    return task


def _without(
    judges: Collection[str], found: Mapping[str, bytes], patterns: Collection[str]
) -> dict[str, bytes]:
    """Leave out the evaluator and the bad examples, unless a pattern spells them.

    Neither a candidate nor a model should read by which numbers it is judged, only because a
    pattern such as "*.py" was written without them in mind.
    """
    return {
        path: content for path, content in found.items() if path not in judges or path in patterns
    }


def is_aside(path: Path) -> bool:
    """Tell whether what lies in a task's folder is no part of the task unless it is named.

    Hidden files, caches, runs, and what is neither file nor folder, such as a link to nothing.
    Patterns pass it by and runs do not copy it: the two must agree, for a run reads its copy.
    """
    return (
        any(fnmatch(path.name, pattern) for pattern in _ASIDE)
        or not (path.is_file() or path.is_dir())
        or (path / _DATABASE).exists()
    )


def _matches(root: Path, pattern: str) -> Iterator[Path]:
    """Yield the files that a pattern matches; what is aside only where the pattern spells it."""
    spelt = Path(pattern).parts
    for path in root.glob(pattern):
        parts = path.relative_to(root).parts
        places = (root.joinpath(*parts[: depth + 1]) for depth in range(len(parts)))
        if path.is_file() and not any(p.name not in spelt and is_aside(p) for p in places):
            yield path


def _read(root: Path, patterns: Iterable[str], where: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for pattern in patterns:
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            instead = ", or name a folder that holds it by [task] root" * where.startswith("[task]")
            raise UsageError(f"{where}: '{pattern}' leaves {root}; move the file in{instead}")
        try:
            spelt = root / pattern  # a name may hold * or [
            matches = [spelt] if spelt.is_file() else sorted(_matches(root, pattern))
        except ValueError as error:
            raise UsageError(f"{where}: '{pattern}' is no pattern: {error}") from error
        if not matches:
            raise UsageError(f"{where}: '{pattern}' matches no file in {root}")
        for path in matches:
            if path.stat().st_size > _LARGEST_FILE:
                raise UsageError(f"{where}: {path} is larger than 16 MiB; a program is source")
            found[path.relative_to(root).as_posix()] = path.read_bytes()
    return found
