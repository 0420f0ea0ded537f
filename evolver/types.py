"""The nouns of evolver, as records on the standard library only.

Everything here is immutable: records travel between the controller, the workers and the store,
and nobody can change what another holds. Evaluators and operators import from here what they need;
`ports` has the Protocols that plug-ins implement.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from evolver.handles import Account as Account
from evolver.handles import Candidate as Candidate
from evolver.handles import Check as Check
from evolver.handles import Completion as Completion
from evolver.handles import Files as Files
from evolver.handles import Model as Model
from evolver.handles import Output as Output
from evolver.handles import Printing as Printing
from evolver.handles import Prompt as Prompt
from evolver.handles import Timing as Timing
from evolver.wording import with_output

Status = Literal["ok", "rejected", "crashed", "timeout"]


# --- programs and their evaluations -------------------------------------------------------------


@dataclass(frozen=True)
class Program:
    """A program as it was proposed; a "candidate" is a program being judged.

    `id` is the number of the attempt that made it, so ids are unique within a run and grow.
    """

    id: int
    files: Files  # the editable files; the unchanging rest is the task's base tree
    base: str = ""  # hash of that base tree
    parents: tuple[int, ...] = ()
    operator: str = "seed"
    island: int = 0
    generation: int = 0  # 0 for a seed, else 1 + the first parent's
    summary: str = ""  # what the operator says it changed
    thought: str = ""  # the reasoning or plan behind it, for later prompts


@dataclass(frozen=True)
class Result:
    """What an evaluator may return instead of a bare mapping of metrics.

    Attributes:
        metrics: name -> finite number. Shown, stored, put into prompts.
        private: name -> finite number. Stored and shown, never put into a prompt.
        features: name -> finite number, for archives that keep diverse programs.
        feedback: text for whoever edits the program next.
        artifacts: name -> bytes, stored with the evaluation; 1 MiB each, 8 MiB together.
    """

    metrics: Mapping[str, float]
    private: Mapping[str, float] = field(default_factory=dict)
    features: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""
    artifacts: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """The verdict on one program. `objectives` is None unless the status is "ok"."""

    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)
    private: Mapping[str, float] = field(default_factory=dict)
    objectives: tuple[float, ...] | None = None  # signed so that higher is better
    features: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0  # wall clock in the worker, sandbox and tuning included
    stage: int = 0  # index of the last stage that ran
    isolation: str = ""  # tier of the sandbox it ran in
    trusted: bool = True  # False where candidate and scorer shared a process
    fault: Literal["", "candidate", "evaluator"] = ""
    evaluations: int = 1  # what it cost of the evaluation budget
    flags: tuple[str, ...] = ()  # what it did that no honest program does, in sentences
    fingerprint: str = ""  # hash of its outputs on the evaluator's probe inputs; "" without a probe
    memory: int = 0  # bytes that the largest of its processes took at its peak; 0: not known
    references: tuple[float, ...] = ()  # speed-ups of references over themselves, where asked for
    printed: str = ""  # the end of what it printed before it failed

    @property
    def explanation(self) -> str:
        """The feedback, and the end of what the program printed."""
        return with_output(self.feedback, self.printed)

    @property
    def complaint(self) -> str:
        """What is to be said of it to its user, who may know more than a prompt: flags too."""
        return "\n".join(filter(None, [self.explanation, *self.flags]))


@dataclass(frozen=True)
class Elite:
    """A program with its verdict, as archives keep it and operators see it."""

    program: Program
    evaluation: Evaluation

    @property
    def objectives(self) -> tuple[float, ...]:
        """The objectives, higher is better. Only programs with status "ok" become elites."""
        assert self.evaluation.objectives is not None
        return self.evaluation.objectives


# --- executors and sandboxes ----------------------------------------------------------------------


@dataclass(frozen=True)
class Tune:
    """A wish that the worker fit the child's float literals before it is scored.

    Attributes:
        limit: most evaluations the fit may spend where the evaluator offers no `residuals`.
        starts: how many starting vectors a least-squares fit tries, the child's own among them.
        carried: known good values for some of the literals, tried as starting vectors: each a
            full vector in the order of `literals.find`.
        spread: of the first steps of a fit without `residuals`, relative to each literal.
    """

    limit: int = 100
    starts: int = 48
    carried: tuple[tuple[float, ...], ...] = ()
    spread: float = 0.2


@dataclass(frozen=True)
class Job:
    """One program for a worker to judge."""

    program: Program
    seed: int  # from (run seed, attempt)
    tune: Tune | None = None
    is_confirmation: bool = False  # to be measured by the evaluator's `confirm`, where it has one
    limit: float | None = None  # seconds for an evaluation; None: the whole of its timeout
    times_references: bool = False  # against themselves, afterwards, where it is timed against any

    @property
    def is_seed(self) -> bool:
        """Whether the program is the one that its user wrote."""
        return self.program.id == 0 and self.program.operator == "seed"


@dataclass(frozen=True)
class Preflight:
    """What a short run of a program showed before an evaluation is spent on it."""

    complaint: str = ""  # a traceback or a sentence; "" where it runs
    fingerprint: str = ""  # as `Evaluation.fingerprint`
    seconds: float = 0.0
    # Why it is no word on the program: the evaluator's `smoke` or `probe` raised, or time ran out.
    fault: Literal["", "evaluator", "timeout"] = ""


@dataclass(frozen=True)
class SandboxReport:
    """What a sandbox has noticed.

    Attributes:
        notes: what is not as it should be on this host, in sentences.
        memory: bytes that the largest process of the last candidate took at its peak, what it
            shares with the sandbox's own process included; 0: not known.
        flags: what the last candidate did that no honest program does, in sentences.
    """

    notes: tuple[str, ...] = ()
    memory: int = 0
    flags: tuple[str, ...] = ()


# --- operators ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proposal:
    """A child as an operator proposes it, before any filter has seen it."""

    files: Files
    summary: str = ""
    parents: tuple[int, ...] | None = None  # None: the context's parent alone
    tune: Tune | None = None
    thought: str = ""  # kept with the program, shown to later prompts


@dataclass(frozen=True)
class PromptSettings:
    """How prompts are made.

    Attributes:
        folder: the task's own templates, which go before evolver's; "" for none.
        tokens: about how many a prompt may have.
        vary: whether instructions come in several phrasings, drawn anew for each attempt.
        explain: False: nothing of the task but its objectives, and no feedback (an ablation).
    """

    folder: str = ""
    tokens: int = 32_000
    vary: bool = True
    explain: bool = True


@dataclass(frozen=True)
class Prices:
    """Dollars per million tokens; None where unknown."""

    prompt: float | None = None
    completion: float | None = None
    cached: float | None = None  # of prompt tokens in the provider's cache; None: as any other

    def of(self, prompt: int, completion: int, cached: int = 0) -> float | None:
        """Return the dollars for so many tokens; `cached` are among those of the prompt."""
        if self.prompt is None or self.completion is None:
            return None
        price = self.prompt if self.cached is None else self.cached
        whole = self.prompt * (prompt - cached) + price * cached + self.completion * completion
        return 1e-6 * whole


@dataclass(frozen=True)
class Bound:
    """The most that a request can cost; None where nobody can say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    dollars: float | None = None

    @property
    def tokens(self) -> int | None:
        """Prompt and completion tokens together."""
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Brief:
    """What operators may know of the task.

    Attributes:
        seed: the seed program's editable files; their markers define the editable regions.
        readonly: the files that stand beside them and never change.
        context: read-only material for prompts, name -> text.
        objectives: (metric, "maximize" | "minimize") in the order of `Evaluation.objectives`.
        require: metric -> condition such as "<= 12".
        units: metric -> what it is measured in.
        timeout: seconds for one evaluation, at most; None: not known.
        prompts: how all this is put to a model.
    """

    description: str
    seed: Files
    readonly: Files = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)
    objectives: tuple[tuple[str, str], ...] = ()
    require: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    prompts: PromptSettings = PromptSettings()


@dataclass(frozen=True)
class Trial:
    """What came of an earlier attempt to edit a program."""

    summary: str  # what the operator said that it changed
    status: Status | Literal["filtered"]  # of the evaluation; "filtered" where there was none
    objectives: tuple[float, ...] | None = None  # signed so that higher is better
    reason: str = ""  # in a line, why the status is not "ok"


@dataclass(frozen=True)
class Context:
    """Everything an operator sees. The same context gives the same proposal."""

    brief: Brief
    parent: Elite
    inspirations: Sequence[Elite]  # other elites of the island, best last
    rng: Random  # from (run seed, attempt): the operator's only source of chance
    is_seen: Callable[[Files], bool]  # was this program, up to formatting, judged before?
    fits: Callable[[Files], int] = lambda _files: 0  # how often its literals were fitted before
    model: Model | None = None
    tried: Sequence[Trial] = ()  # earlier children of the parent, oldest first, at most a few
    credit: Mapping[str, float] = field(default_factory=dict)  # see `evolver.search.credit.Credit`
    limit: float | None = None  # seconds for the child's evaluation; None: no clock had a say in it


#: Protocols of `evolver.ports`, which plug-ins of before import from here.
_PORTS = (
    "Archive", "Bounding", "Conditional", "Executor", "Operator", "Policy", "Repairing",
    "Sandbox",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """Find a Protocol by its former name."""
    if name not in _PORTS:
        raise AttributeError(f"module 'evolver.types' has no attribute '{name}'")
    warnings.warn(
        f"evolver.types.{name} is now evolver.ports.{name}", DeprecationWarning, stacklevel=2
    )
    return getattr(importlib.import_module("evolver.ports"), name)
