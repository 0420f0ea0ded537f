"""The records of evolver: the nouns of its design, on the standard library only.

They are immutable, because the controller, the workers and the store share them. Evaluators and
operators import what they need from here; `ports` has the Protocols that plug-ins implement.
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
    """A program as an operator proposed it. While it is judged it is called a candidate.

    `id` is the number of the attempt that made it, so ids are unique in a run and increase.
    """

    id: int
    files: Files  # the editable files; the others are the task's base tree
    base: str = ""  # hash of that base tree
    parents: tuple[int, ...] = ()
    operator: str = "seed"
    island: int = 0
    generation: int = 0  # 0 for a seed, else 1 + the first parent's
    summary: str = ""  # the operator's description of the change
    thought: str = ""  # the reasoning or plan behind it, for later prompts


@dataclass(frozen=True)
class Result:
    """What an evaluator may return instead of a mapping of metrics.

    Attributes:
        metrics: name -> finite number; stored, shown, and part of prompts.
        private: name -> finite number; stored and shown, never part of a prompt.
        features: name -> finite number, for archives that keep diverse programs.
        feedback: text for the next edit of the program.
        artifacts: name -> bytes, stored with the evaluation; 1 MiB each, 8 MiB together.
    """

    metrics: Mapping[str, float]
    private: Mapping[str, float] = field(default_factory=dict)
    features: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""
    artifacts: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """The result of judging one program. `objectives` is None unless the status is "ok"."""

    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)
    private: Mapping[str, float] = field(default_factory=dict)
    objectives: tuple[float, ...] | None = None  # signed so that higher is better
    features: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0  # wall clock in the worker, with sandbox and tuning
    stage: int = 0  # index of the last stage that ran
    isolation: str = ""  # tier of the sandbox it ran in
    trusted: bool = True  # False if candidate and scorer shared a process
    fault: Literal["", "candidate", "evaluator"] = ""
    evaluations: int = 1  # its cost in the evaluation budget
    flags: tuple[str, ...] = ()  # in sentences, what only a dishonest program does
    fingerprint: str = ""  # hash of its outputs on the evaluator's probe inputs; "" without a probe
    memory: int = 0  # peak bytes of the largest of its processes; 0: not known
    references: tuple[float, ...] = ()  # speed-ups of references over themselves, if requested
    printed: str = ""  # the end of its output, if it failed

    @property
    def explanation(self) -> str:
        """The feedback, with the end of the program's output."""
        return with_output(self.feedback, self.printed)

    @property
    def complaint(self) -> str:
        """The explanation with the flags, for the user; prompts never have the flags."""
        return "\n".join(filter(None, [self.explanation, *self.flags]))


@dataclass(frozen=True)
class Elite:
    """A program with its evaluation, as archives keep it and operators see it."""

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
    """A request to fit the child's float literals before it is scored.

    Attributes:
        limit: most evaluations that the fit may spend, if the evaluator has no `residuals`.
        starts: number of starting vectors of a least-squares fit, including the child's own.
        carried: known good values, tried as starting vectors; each is a full vector in the order of
            `literals.find`.
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
    is_confirmation: bool = False  # measured by the evaluator's `confirm`, if it has one
    limit: float | None = None  # seconds for an evaluation; None: the evaluator's timeout
    times_references: bool = False  # time its references against themselves afterwards

    @property
    def is_seed(self) -> bool:
        """Whether the program is the user's."""
        return self.program.id == 0 and self.program.operator == "seed"


@dataclass(frozen=True)
class Preflight:
    """The result of a short run of a program, before an evaluation is spent on it."""

    complaint: str = ""  # a traceback or a sentence; "" if it runs
    fingerprint: str = ""  # as `Evaluation.fingerprint`
    seconds: float = 0.0
    # Why it proves nothing about the program: `smoke` or `probe` raised, or time ran out.
    fault: Literal["", "evaluator", "timeout"] = ""


@dataclass(frozen=True)
class SandboxReport:
    """What a sandbox knows of the host and of its last candidate.

    Attributes:
        notes: problems of this host, in sentences.
        memory: peak bytes of the largest process of the last candidate, including pages shared with
            the sandbox's own process; 0: not known.
        flags: in sentences, what the last candidate did that only a dishonest program does.
    """

    notes: tuple[str, ...] = ()
    memory: int = 0
    flags: tuple[str, ...] = ()


# --- operators ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proposal:
    """A child as an operator proposes it, before the filters."""

    files: Files
    summary: str = ""
    parents: tuple[int, ...] | None = None  # None: the context's parent alone
    tune: Tune | None = None
    thought: str = ""  # kept with the program, shown in later prompts


@dataclass(frozen=True)
class PromptSettings:
    """How prompts are made.

    Attributes:
        folder: the task's own templates, which replace evolver's; "" for none.
        tokens: about the most that a prompt may have.
        vary: whether each attempt draws the phrasing of its instructions.
        explain: False: of the task its objectives only, and no feedback (an ablation).
    """

    folder: str = ""
    tokens: int = 32_000
    vary: bool = True
    explain: bool = True


@dataclass(frozen=True)
class Prices:
    """Dollars per million tokens; None if unknown."""

    prompt: float | None = None
    completion: float | None = None
    cached: float | None = None  # of prompt tokens in the provider's cache; None: like other ones

    def of(self, prompt: int, completion: int, cached: int = 0) -> float | None:
        """Return the dollars for so many tokens; `cached` is part of `prompt`."""
        if self.prompt is None or self.completion is None:
            return None
        price = self.prompt if self.cached is None else self.cached
        whole = self.prompt * (prompt - cached) + price * cached + self.completion * completion
        return 1e-6 * whole


@dataclass(frozen=True)
class Bound:
    """The most that a request can cost; None if unknown."""

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
        readonly: the files beside them that never change.
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
    """The result of an earlier attempt to edit a program."""

    summary: str  # the operator's description of the change
    status: Status | Literal["filtered"]  # of the evaluation; "filtered" without one
    objectives: tuple[float, ...] | None = None  # signed so that higher is better
    reason: str = ""  # in a line, why the status is not "ok"


@dataclass(frozen=True)
class Context:
    """Everything an operator sees. The same context gives the same proposal."""

    brief: Brief
    parent: Elite
    inspirations: Sequence[Elite]  # other elites of the island, best last
    rng: Random  # from (run seed, attempt): the operator's only source of chance
    is_seen: Callable[[Files], bool]  # whether it was judged before, up to formatting
    fits: Callable[[Files], int] = lambda _files: 0  # how often literals were fitted before
    model: Model | None = None
    tried: Sequence[Trial] = ()  # some earlier children of the parent, oldest first
    credit: Mapping[str, float] = field(default_factory=dict)  # see `evolver.search.credit.Credit`
    limit: float | None = None  # seconds for the child's evaluation; None: no clock had a say in it


#: Protocols of `evolver.ports`; older plug-ins import them from here.
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
