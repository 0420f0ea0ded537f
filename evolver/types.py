"""The nouns of evolver and its ports, on the standard library only.

Everything here is immutable: records travel between the controller, the workers and the store,
and nobody can change what another holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

Status = Literal["ok", "rejected", "crashed", "timeout"]
Files = Mapping[str, bytes]  # POSIX paths relative to the program's root -> contents


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
    tuned: Files | None = None  # the program's files with fitted literals; None where unchanged
    flags: tuple[str, ...] = ()  # what it did that no honest program does, in sentences
    fingerprint: str = ""  # hash of its outputs on the evaluator's probe inputs; "" without a probe
    memory: int = 0  # bytes that the largest of its processes took at its peak; 0: not known
    references: tuple[float, ...] = ()  # speed-ups of references over themselves, where asked for

    @property
    def complaint(self) -> str:
        """What is to be said of it to its user, who may know more than a prompt: flags too."""
        return "\n".join(filter(None, [self.feedback, *self.flags]))


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


# --- operators ------------------------------------------------------------------------------------


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
class Proposal:
    """A child as an operator proposes it, before any filter has seen it."""

    files: Files
    summary: str = ""
    parents: tuple[int, ...] | None = None  # None: the context's parent alone
    tune: Tune | None = None
    thought: str = ""  # kept with the program, shown to later prompts


@dataclass(frozen=True)
class Prompt:
    """What a model is sent.

    Attributes:
        system: what is the same for a whole run.
        user: the programs, and what is asked.
        files: the program that is asked about, read-only files included, for models that look at
            files or edit them in place; `user` shows them too.
        request: names the request in its run, by attempt and call, such as "0012-0"; set when it
            is sent.
        shorter: makes the same prompt with about so many tokens; None: it cannot be cut.
    """

    system: str
    user: str
    # What is not part of the words follows from the attempt: prompts with the same words are equal.
    files: Files = field(default_factory=dict, compare=False, repr=False)
    request: str = field(default="", compare=False)
    shorter: Callable[[int], Prompt] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Completion:
    """What a model answered, with its bill."""

    text: str
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float | None = None  # None: the price is unknown
    seconds: float = 0.0
    finish_reason: str = "stop"

    @property
    def is_empty(self) -> bool:
        """Whether it was paid for, and says nothing."""
        return not self.text.strip()


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
        prompts: how all this is put to a model.
    """

    description: str
    seed: Files
    readonly: Files = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)
    objectives: tuple[tuple[str, str], ...] = ()
    require: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
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


# --- ports ----------------------------------------------------------------------------------------


class Operator(Protocol):
    """Proposes a child from a context. Plug-ins are frozen dataclasses: fields are settings."""

    async def propose(self, context: Context) -> Proposal:
        """Return a child of `context.parent`.

        Raises:
            ProposalError: no child was found, or the model's answer could not be applied.
            ModelError: the model did not answer.
        """
        ...


@runtime_checkable
class Conditional(Protocol):
    """An operator that knows beforehand of some contexts that it finds no child in them."""

    def can_propose(self, context: Context) -> bool:
        """Return False where `propose` would raise ProposalError; another operator is drawn then.

        Args:
            context: as `propose` would have it, but without a model and with other dice.
        """
        ...


@runtime_checkable
class Repairing(Protocol):
    """An operator that can mend a child that did not survive its pre-flight."""

    async def repair(self, context: Context, proposal: Proposal, complaint: str) -> Proposal:
        """Return a mended child, by one cheap request in the same attempt.

        Args:
            context: as `propose` had it.
            proposal: the child.
            complaint: what went wrong: a traceback, or a sentence.

        Raises:
            ProposalError: it cannot be mended.
            ModelError: the model did not answer.
        """
        ...


class Model(Protocol):
    """One LLM endpoint."""

    async def complete(self, prompt: Prompt, n: int = 1) -> Sequence[Completion]:
        """Send one request; return its completions, `n` of them, fewer where `n` is ignored.

        Operators are handed a model that keeps every answer, tries again and returns exactly `n`.

        Raises:
            ModelUnavailable: no answer now; the same request may succeed later.
            ModelRefused: no request with these settings can succeed.
            ModelError: this request cannot succeed.
        """
        ...


@runtime_checkable
class Bounding(Protocol):
    """A model that can say beforehand what a request costs at most, so that limits are kept."""

    def bound(self, prompt: Prompt, n: int) -> Bound:
        """Return the most that asking for `n` completions can cost."""
        ...


@dataclass(frozen=True)
class Output:
    """What a command of a candidate printed, and how it ended. As untrusted as the candidate."""

    code: int  # exit code; -N where signal N ended it
    stdout: bytes
    stderr: bytes
    is_cut: bool = False  # it printed more than was kept
    # Both are measured by the trusted side, and no part of what is compared:
    seconds: float = field(default=0.0, compare=False)  # by the wall clock
    cpu: float = field(default=0.0, compare=False)  # CPU seconds of all processes meanwhile


#: Says of the arguments and the result of a call what is wrong with them: nothing (None or True),
#: False, or a sentence.
Check = Callable[[tuple[Any, ...], Any], Any]


class Account(NamedTuple):
    """What the kernel has counted for a candidate's processes, in seconds."""

    cpu: float  # CPU time of all threads
    waited: float  # the time in which a thread was ready and other work had the processors
    processor: int = -1  # on which its first process was last; -1: unknown


@dataclass(frozen=True)
class Timing:
    """How long calls of a candidate took, in seconds a call, measured by the trusted side.

    Attributes:
        seconds: the median over the batches.
        low: lower end of a 95 % interval for that median.
        high: its upper end.
        least: of the batches; other work on the machine only ever adds to it.
        calls: of each batch.
        samples: arguments and results: of all calls of the quickest batch, which is the one that
            counts, and of one call of each other, chosen afterwards. A result is as untrusted as
            any: verify them all, or what was timed may have computed nothing.
        reference: the median of the reference, by the same rule; None without one.
        speedup: the least of the reference, which was called in turn, over `least`.
    """

    seconds: float
    low: float
    high: float
    least: float
    calls: int
    samples: tuple[tuple[tuple[Any, ...], Any], ...]
    reference: float | None = None
    speedup: float | None = None


class Candidate(Protocol):
    """A program in its sandbox, as an evaluator is handed it.

    Calls are plain and synchronous. Values are None, bool, int, float, str, bytes, numpy arrays,
    and lists, tuples and string-keyed dicts of them: never pickled objects. NaN and infinities
    are allowed inside arrays and as floats; the evaluator checks what it gets.

    Threads may share a candidate, and so may tasks of asyncio by `asyncio.to_thread`: its methods
    take turns, so that two calls never overlap. A timeout begins when the call has its turn.
    """

    files: Files
    rng: Random  # host side, from (run seed, attempt): draw secret inputs from it

    @property
    def parameters(self) -> Sequence[float]:
        """The float literals of the editable regions, in the order of `literals.find`."""
        ...

    def at(self, parameters: Sequence[float]) -> Candidate:
        """Return the same candidate with other values for its float literals, in the same process.

        The program's modules are executed afresh with the new values at the next call.
        """
        ...

    def call(self, function: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a function of the candidate and return its value.

        Args:
            function: "name" in the first program file, "module:name" in another,
                "guest:name" in the evaluator's guest code.
            *args: positional arguments.
            timeout: seconds for this call; never more than what is left of the evaluation's. A
                call that overruns them is killed with its process, and the next call gets a fresh
                one, as after `restart`.
            **kwargs: keyword arguments.

        Raises:
            CandidateCrashed: it raised (the message ends with its traceback) or its process died.
            CandidateTimeout: it was killed at its deadline; `output` is the end of what it printed.
            CandidateOutputError: the value is of a type that is not allowed, or too large.
            SandboxError: the sandbox itself failed.
        """
        ...

    def restart(self) -> None:
        """Go on in a fresh process with a working directory as at the beginning.

        What it has computed, started, written or learnt is gone, but for what the evaluator holds
        and gives it again: so that what a program hands on from one step to the next is no more
        than passes through the evaluator's hands, where it can be looked at and counted. It takes
        some milliseconds; the evaluation's deadline stays.

        Raises:
            CandidateError: it was dead already, or its time is over.
            SandboxError: the sandbox itself failed.
        """
        ...

    def time(
        self,
        function: str,
        inputs: Iterable[Sequence[Any]],
        *,
        repeats: int,
        reference: Callable[..., Any] | None = None,
        check: Check | None = None,
    ) -> Timing:
        """Time calls of a function on one core, by clocks that the candidate cannot reach.

        The calls are made in batches of some milliseconds, each on inputs of its own. What counts
        is the CPU time that all processes of the candidate took during a batch, or the wall time
        where they slept, less that of calling nothing. CPU time before and after counts too, but
        for what carrying the values takes: work done ahead, behind or aside is work, and so is that
        of other threads. A call counts for no less than a third of that CPU time, so functions
        that are lighter than carrying their values are not told apart.
        The first call is not timed: what a program does when it is imported or first called, such
        as compiling itself, is limited by the evaluation's time and no more.

        Args:
            function: as in `call`.
            inputs: positional arguments of one call after another, drawn from `rng` so that
                nobody can know them; an iterator without an end.
            repeats: batches that are timed.
            reference: a function of the evaluator's own that does the same work; it is called
                here, in turn with the candidate's batches, on copies of the same inputs, as often
                as its own time needs. All CPU time of this process counts meanwhile, so let no
                other thread of the evaluator work.
            check: says what is wrong with a call: it returns None or True for nothing, else False
                or a sentence, or raises. It is asked of the first call, before anything is timed,
                and of all `samples`.

        Raises:
            ValueError: the inputs ran out.
            TypeError: `inputs` or one of them is nothing that can be iterated over.
            CandidateOutputError: `check` found a result wrong.
            CandidateError: as `call` does.
            SandboxError: the sandbox itself failed.
        """
        ...

    def account(self) -> Account:
        """Return what the kernel has counted for all its processes so far, dead ones included.

        Raises:
            CandidateError: it died.
            SandboxError: the sandbox itself failed.
        """
        ...

    def run(
        self, command: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None
    ) -> Output:
        """Run a command in the candidate's working directory, where its files lie.

        The directory is writable and lasts for the evaluation, so that one command may compile
        what the next one runs. Functions that are called stand there too. A command that fails is
        no exception: look at `Output.code`.

        Args:
            command: the program and its arguments; no shell reads it.
            stdin: its standard input.
            timeout: seconds for this command; never more than what is left of the evaluation's. A
                command that overruns them is killed with all that the candidate has running; then
                the next use of the candidate gets a fresh process and, as after `restart`, a
                directory with nothing but the program's files: compile again what was compiled.

        Returns:
            What it printed and how it ended, with its wall time and the CPU time that the kernel
            counted for all processes of the candidate meanwhile, to within some milliseconds.

        Raises:
            CandidateCrashed: there is no such command, or the candidate's process died.
            CandidateTimeout: it was killed at its deadline; `output` is what it printed until then.
            SandboxError: the sandbox itself failed.
        """
        ...

    def read(self, path: str) -> bytes:
        """Return a regular file of the working directory, read with the candidate's own rights.

        Raises:
            CandidateOutputError: there is none, it is no regular file, or it is larger than
                `result_bytes`.
            SandboxError: the sandbox itself failed.
        """
        ...

    def write(self, path: str, data: bytes) -> None:
        """Write a file into the working directory, its folders made where they are missing.

        Raises:
            CandidateOutputError: it cannot be written there.
            SandboxError: the sandbox itself failed.
        """
        ...


class Sandbox(Protocol):
    """Runs candidates apart from the process that scores them."""

    isolation: str  # the tier, stored with every evaluation

    def open(
        self, program: Program, *, seed: int, timeout: float
    ) -> AbstractContextManager[Candidate]:
        """Start a candidate in a fresh process; at exit, kill everything that it started.

        Args:
            program: its files are laid over the base tree that the sandbox was made with.
            seed: seeds `random`, numpy and torch inside, and `Candidate.rng` outside.
            timeout: seconds that the evaluation may take in all; enforced by killing.

        Raises:
            SandboxError: no process could be started.
        """
        ...

    def close(self) -> None:
        """Kill everything; the sandbox cannot be opened again."""
        ...


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


class Executor(Protocol):
    """Judges programs somewhere else: in local worker processes, on a cluster."""

    slots: int  # evaluations that can run at once

    async def evaluate(self, job: Job) -> Evaluation:
        """Judge one program. A bad program gives a bad Evaluation, never an exception.

        Raises:
            SandboxError: this host cannot run candidates; the run must stop.
        """
        ...

    async def preflight(self, job: Job) -> Preflight:
        """Import a program, smoke-run and probe it; at most a few seconds, and not counted.

        Raises:
            SandboxError: as `evaluate`.
        """
        ...

    async def close(self) -> None:
        """End every worker at once, whatever it is doing."""
        ...


class Archive(Protocol):
    """Keeps the elites of one island."""

    def add(self, elite: Elite) -> bool:
        """Offer an elite; return whether it was kept."""
        ...

    def elites(self) -> Sequence[Elite]:
        """The kept elites, best first."""
        ...

    def front(self) -> Sequence[Elite]:
        """The elites that no kept one beats: the best one, or the Pareto front."""
        ...


class Policy(Protocol):
    """Chooses whom to edit next. Plug-ins are frozen dataclasses."""

    def select(self, archive: Archive, children: Mapping[int, int], rng: Random) -> Elite:
        """Choose a parent from an archive that is not empty.

        Args:
            archive: an island's.
            children: program id -> finished attempts that edited it; 0 where missing.
            rng: the policy's only source of chance.
        """
        ...


class Filter(Protocol):
    """A pure reason not to evaluate."""

    def __call__(self, files: Files, context: Context) -> str | None:
        """Return the reason to reject these files, or None."""
        ...
