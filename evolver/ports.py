"""The ports of evolver: what each kind of plug-in implements, on the standard library only.

A Protocol that is checked at run time (`isinstance`) is optional: a plug-in implements it or not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Protocol, runtime_checkable

from evolver.types import (
    Bound,
    Candidate,
    Context,
    Elite,
    Evaluation,
    Files,
    Job,
    Model,
    Preflight,
    Program,
    Prompt,
    Proposal,
    Result,
)

# --- evaluators -----------------------------------------------------------------------------------


@runtime_checkable
class Evaluator(Protocol):
    """Scores a candidate; it may also have, each optional, the following.

    - `guest`: name (or names) of files beside it that run in the candidate's process, or a mapping
      of file names to their contents,
    - `is_trusted`: False where what it says is only what the candidate lets it say,
    - `smoke(candidate)`: a run of at most two seconds before an evaluation is spent on a child
      that a model was paid for; what the candidate raises in it, and any CandidateError that
      `smoke` raises, goes back to the model once. Without it such a child is imported only,
    - `probe(candidate)`: outputs on fixed inputs, any values that may come out of a sandbox. A
      child whose outputs are to the bit those of an earlier program is not evaluated. So offer it
      only where programs that compute the same have the same score: not where speed or size
      counts, unless they are part of what it returns. It draws no secret inputs: `candidate.rng`
      and the candidate's own seeds are the same in every probe of a run,
    - `confirm(candidate)`: what `evaluate` returns, by a stricter measurement that would take too
      long for every candidate: of all inputs instead of some. It is called instead of `evaluate`
      (of the last stage) where the front is measured again before it is announced, within the same
      `[evaluator] timeout`,
    - `residuals(candidate)`: see `evolver.evaluation.tuning.Residuals`,
    - `references()`: series name -> points in metric space that reports show beside the results,
    - `check_host(gpus)`: see `Demanding`.
    """

    def evaluate(self, candidate: Candidate) -> float | Mapping[str, float] | Result:
        """Return the metrics of a candidate, or the number of the only objective.

        Raises:
            CandidateError: the candidate failed; sets the status of the evaluation.
        """
        ...


@runtime_checkable
class Demanding(Protocol):
    """An evaluator that does not run on every machine: it needs a GPU, a compiler, a package."""

    def check_host(self, gpus: Sequence[int]) -> None:
        """Check what each worker asks before it judges anything.

        Args:
            gpus: numbers of the GPUs that candidates may use; see
                `evolver.scoring.devices.require`.

        Raises:
            UsageError: this machine lacks something; the message says what, and what to do.
        """
        ...


# --- operators ------------------------------------------------------------------------------------


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


@runtime_checkable
class Prompting(Protocol):
    """An operator that can show what it would send first."""

    def prompt(self, context: Context) -> Prompt:
        """Return the prompt for a context."""
        ...


class Filter(Protocol):
    """A pure reason not to evaluate."""

    def __call__(self, files: Files, context: Context) -> str | None:
        """Return the reason to reject these files, or None."""
        ...


# --- models ---------------------------------------------------------------------------------------


@runtime_checkable
class Bounding(Protocol):
    """A model that can say beforehand what a request costs at most, so that limits are kept."""

    def bound(self, prompt: Prompt, n: int) -> Bound:
        """Return the most that asking for `n` completions can cost."""
        ...


@runtime_checkable
class Checking(Protocol):
    """A model that can be asked for something that costs nothing, to see whether it is there."""

    async def check(self) -> None:
        """Ask once.

        Raises:
            ModelError: it is not there.
        """
        ...


@runtime_checkable
class Closing(Protocol):
    """A model that keeps connections open."""

    async def close(self) -> None:
        """Close them."""
        ...


@runtime_checkable
class Filing(Protocol):
    """A model that keeps files in the directory of the run."""

    def within(self, directory: Path) -> Model:
        """Return the model for a run in that directory."""
        ...


@runtime_checkable
class Beside(Protocol):
    """A model that may use files of the task's folder."""

    def beside(self, folder: Path, files: Collection[str]) -> Model:
        """Return the model for a task in that folder, whose program has those files."""
        ...


@runtime_checkable
class Patient(Protocol):
    """A model that waits for people."""

    @property
    def waits_for(self) -> str:
        """What it waits for; "" while it waits for nothing."""
        ...


# --- where programs run ---------------------------------------------------------------------------


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


# --- whom to keep and whom to edit ----------------------------------------------------------------


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
