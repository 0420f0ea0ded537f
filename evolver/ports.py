"""The ports of evolver: what each kind of plug-in implements, on the standard library only.

Protocols that are checked at run time (`isinstance`) are optional.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Any, Protocol, runtime_checkable

from evolver.types import (
    Bound,
    Brief,
    Candidate,
    Context,
    Elite,
    Evaluation,
    Files,
    Job,
    Model,
    Preflight,
    Prices,
    Program,
    Prompt,
    Proposal,
    Result,
    SandboxReport,
)

# --- evaluators -----------------------------------------------------------------------------------


@runtime_checkable
class Evaluator(Protocol):
    """Scores a candidate. The other Protocols of this section are optional."""

    def evaluate(self, candidate: Candidate) -> float | Mapping[str, float] | Result:
        """Return the metrics of a candidate, or the number of the only objective.

        Raises:
            CandidateError: the candidate failed; sets the status of the evaluation.
        """


@runtime_checkable
class WithGuest(Protocol):
    """An evaluator with code that runs in the candidate's process."""

    @property
    def guest(self) -> str | Sequence[str] | Files:
        """Name or names of files beside the evaluator, or file names with their contents."""


@runtime_checkable
class WithTrust(Protocol):
    """An evaluator that declares whether its scores can be trusted; others always can."""

    @property
    def is_trusted(self) -> bool:
        """False where the candidate can choose what the evaluator returns."""


@runtime_checkable
class SmokeTesting(Protocol):
    """An evaluator with a short run that comes before an evaluation.

    Without it, a child that a model was paid for is imported only.
    """

    def smoke(self, candidate: Candidate) -> object:
        """Run the candidate for at most two seconds; the return value is ignored.

        Raises:
            CandidateError: the candidate failed; the model gets the message once, for a repair.
        """


@runtime_checkable
class Probing(Protocol):
    """An evaluator with a probe, which finds children that compute the same as an earlier program.

    Implement it only if programs that compute the same have the same score. If speed or size
    counts, the probe has to return it too.
    """

    def probe(self, candidate: Candidate) -> object:
        """Return outputs on fixed inputs, of any types that a sandbox can return.

        A child with the same outputs, to the bit, as an earlier program is not evaluated. Inputs
        cannot be secret: `candidate.rng` and the candidate's seeds are the same in every probe of a
        run.
        """


@runtime_checkable
class Confirming(Protocol):
    """An evaluator with a stricter measurement, which takes too long for every candidate."""

    def confirm(self, candidate: Candidate) -> float | Mapping[str, float] | Result:
        """Return what `evaluate` returns, for instance measured on all inputs instead of some.

        It replaces `evaluate` of the last stage when programs are measured again before they are
        announced. The `[evaluator] timeout` holds.
        """


@runtime_checkable
class Fitting(Protocol):
    """An evaluator with residuals, by which literals are fitted without spending evaluations."""

    def residuals(self, candidate: Candidate) -> Any:
        """Return `evolver.evaluation.tuning.Residuals`; None if a fit is not worth it."""


@runtime_checkable
class Referenced(Protocol):
    """An evaluator that knows published results."""

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return series name -> points in metric space; reports show them beside the results."""


@runtime_checkable
class Demanding(Protocol):
    """An evaluator that does not run on every machine: it needs a GPU, a compiler, a package."""

    def check_host(self, gpus: Sequence[int]) -> None:
        """Check the machine; each worker calls this before it judges anything.

        Args:
            gpus: numbers of the GPUs that candidates may use; see
                `evolver.scoring.devices.require`.

        Raises:
            UsageError: this machine lacks something; the message says what it is and what to do.
        """


# --- operators ------------------------------------------------------------------------------------


class Operator(Protocol):
    """Proposes a child from a context. Plug-ins are frozen dataclasses: fields are settings."""

    async def propose(self, context: Context) -> Proposal:
        """Return a child of `context.parent`.

        Raises:
            ProposalError: it found no child, or could not apply the model's answer.
            ModelError: the model did not answer.
        """


@runtime_checkable
class Conditional(Protocol):
    """An operator that can tell beforehand that it finds no child."""

    def can_propose(self, context: Context) -> bool:
        """Return False if `propose` would raise ProposalError; the mix then draws another operator.

        Args:
            context: that of `propose`, but without a model and with another `rng`.
        """


@runtime_checkable
class Repairing(Protocol):
    """An operator that can repair a child that failed its pre-flight."""

    async def repair(self, context: Context, proposal: Proposal, complaint: str) -> Proposal:
        """Return a repaired child, by one cheap request in the same attempt.

        Args:
            context: that of `propose`.
            proposal: the child.
            complaint: why the child failed: a traceback or a sentence.

        Raises:
            ProposalError: it cannot be repaired.
            ModelError: the model did not answer.
        """


@runtime_checkable
class Prompting(Protocol):
    """An operator that can show its first prompt."""

    def prompt(self, context: Context) -> Prompt:
        """Return the prompt for a context."""


@runtime_checkable
class NeedsModel(Protocol):
    """An operator that declares whether it asks a model; others do not."""

    @property
    def needs_model(self) -> bool:
        """True: `Context.model` is set; a run without a model leaves the operator out."""


@runtime_checkable
class Selective(Protocol):
    """An operator that cannot edit every program."""

    def applies_to(self, brief: Brief) -> bool:
        """Return False if there is nothing to edit in the seed; the run leaves it out then."""


@runtime_checkable
class Tuning(Protocol):
    """An operator whose proposals may have a `Tune`."""

    @property
    def tune(self) -> bool:
        """Whether they do."""

    @property
    def limit(self) -> int:
        """The evaluations that an attempt reserves; see `Tune.limit`."""


@runtime_checkable
class Templated(Protocol):
    """An operator whose prompts are made from templates."""

    @property
    def templates(self) -> Sequence[str]:
        """Names of the templates."""


# --- models ---------------------------------------------------------------------------------------


@runtime_checkable
class Bounding(Protocol):
    """A model that bounds the cost of a request beforehand, so that spending limits hold."""

    def bound(self, prompt: Prompt, n: int) -> Bound:
        """Return the most that asking for `n` completions can cost."""


@runtime_checkable
class Priced(Protocol):
    """A model that knows its prices."""

    def prices(self) -> Prices:
        """Return the dollars per million tokens."""


@runtime_checkable
class Checking(Protocol):
    """A model that can be checked by a request that costs nothing."""

    async def check(self) -> None:
        """Send such a request.

        Raises:
            ModelError: it does not answer.
        """


@runtime_checkable
class Closing(Protocol):
    """A model that keeps connections open."""

    async def close(self) -> None:
        """Close them."""


@runtime_checkable
class Filing(Protocol):
    """A model that keeps files in the directory of the run."""

    def within(self, directory: Path) -> Model:
        """Return the model for a run in that directory."""


@runtime_checkable
class Beside(Protocol):
    """A model that may use files of the task's folder."""

    def beside(self, folder: Path, files: Collection[str]) -> Model:
        """Return the model for a task in that folder, whose program has those files."""


@runtime_checkable
class Patient(Protocol):
    """A model that waits for people."""

    @property
    def waits_for(self) -> str:
        """What it waits for; "" while it waits for nothing."""


# --- sandboxes ------------------------------------------------------------------------------------


class Sandbox(Protocol):
    """Runs candidates apart from the process that scores them."""

    isolation: str  # the tier, stored with every evaluation

    def open(
        self, program: Program, *, seed: int, timeout: float
    ) -> AbstractContextManager[Candidate]:
        """Start a candidate in a fresh process; at exit, kill it and everything that it started.

        Args:
            program: its files are laid over the base tree that the sandbox was made with.
            seed: seeds `random`, numpy and torch inside, and `Candidate.rng` outside.
            timeout: seconds for the whole evaluation; then the candidate is killed.

        Raises:
            SandboxError: no process could be started.
        """

    def close(self) -> None:
        """Kill everything; the sandbox cannot be opened again."""


@runtime_checkable
class Reporting(Protocol):
    """A sandbox that reports on the host and its candidates."""

    def report(self) -> SandboxReport:
        """Return the report on the host and on the last candidate that was closed."""


# --- executors ------------------------------------------------------------------------------------


class Executor(Protocol):
    """Judges programs somewhere else: in local worker processes, on a cluster."""

    slots: int  # evaluations that can run at once

    async def evaluate(self, job: Job) -> Evaluation:
        """Judge one program; a failing program gives an evaluation, not an exception.

        Raises:
            SandboxError: this host cannot run candidates; the run must stop.
        """

    async def tune(self, job: Job) -> tuple[Program, Evaluation]:
        """Fit the literals of a program by `job.tune`, then judge it.

        Returns:
            The program with the fitted literals, and its evaluation.

        Raises:
            SandboxError: as `evaluate`.
        """

    async def preflight(self, job: Job) -> Preflight:
        """Import, smoke-run and probe a program; takes a few seconds, spends no evaluation.

        Raises:
            SandboxError: as `evaluate`.
        """

    async def close(self) -> None:
        """End every worker at once."""


# --- archives -------------------------------------------------------------------------------------


class Archive(Protocol):
    """Keeps the elites of one island."""

    def add(self, elite: Elite) -> bool:
        """Offer an elite; return whether it was kept."""

    def elites(self) -> Sequence[Elite]:
        """The kept elites, best first."""

    def front(self) -> Sequence[Elite]:
        """The elites that no other kept one beats: the best one, or the Pareto front."""


# --- policies -------------------------------------------------------------------------------------


class Policy(Protocol):
    """Chooses which program to edit next. Plug-ins are frozen dataclasses."""

    def select(self, archive: Archive, children: Mapping[int, int], rng: Random) -> Elite:
        """Choose a parent from an archive that is not empty.

        Args:
            archive: an island's.
            children: program id -> finished attempts that edited it; 0 where missing.
            rng: the policy's only source of chance.
        """
