"""The facts of a run as records: attempts, requests, outcomes, confirmations, sessions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from evolver.types import Bound, Elite, Evaluation, Files, Program, Prompt


@dataclass(frozen=True)
class Attempt:
    """One pass of the loop, as it was decided before it spent anything."""

    id: int
    seen: int  # number of finished attempts that the decision took into account
    operator: str
    island: int
    parent: int | None  # None for seeds
    inspirations: tuple[int, ...] = ()
    reserved: int = 1  # evaluations that it may spend at most
    model: str = ""  # the model that it asks, if any
    leader: int | None = None  # the attempt whose first request it shares


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    `verdict` is "evaluated", "filtered" (a filter's reason not to evaluate) or "unproposed" (the
    operator found no child); `reason` says why for the latter two, and `repair_failure` why the
    child's repair failed, where one was tried. `summary` is what the operator said of a child that
    was filtered; a program has its own.
    """

    attempt: Attempt
    verdict: Literal["evaluated", "filtered", "unproposed"]
    reason: str = ""
    program: Program | None = None
    evaluation: Evaluation | None = None
    proposed: Files | None = None  # the files before tuning, where tuning was asked for
    summary: str = ""
    repair_failure: str = ""

    @property
    def full_reason(self) -> str:
        """The reason, and why its repair failed."""
        failure = self.repair_failure
        return f"{self.reason}\nnot mended: {failure}" if failure else self.reason

    @property
    def elite(self) -> Elite | None:
        """The program with its evaluation, if the status is "ok"."""
        program, evaluation = self.program, self.evaluation
        if program is None or evaluation is None or evaluation.status != "ok":
            return None
        return Elite(program, evaluation)


@dataclass(frozen=True)
class Confirmation:
    """A measurement of a program that repeats the search's, before a winner is announced.

    Attributes:
        program: its id.
        evaluation: the new measurement.
        seen: number of attempts that were finished by then; -1 if an older evolver stored none.
        begun: attempts with lower numbers had begun by then, others had not; -1 as above.
        round: the round that it belongs to; 0 by the rules of older runs, which had no rounds.
        repeat: its number within the round, from 0. It determines the secret inputs.
    """

    program: int
    evaluation: Evaluation
    seen: int = -1
    begun: int = -1
    round: int = 0
    repeat: int = 0


@dataclass(frozen=True)
class Round:
    """Programs that are measured again together, on the same secret inputs.

    It is planned before anything is measured. Its end depends on no score, but only on whether the
    first repeats equal the search's measurements.

    Attributes:
        number: from 1.
        programs: their ids, including the seed's.
        first: repeats after which it ends if all of them equal the search's measurements.
        least: repeats of each program, at least.
        most: repeats of each program, at most.
        allowance: seconds of evaluation that it may take beyond the least; None: no limit.
        is_strict: whether the evaluator measures by its `confirm`, which the search does not use.
        asked: the program that the user asked for; None if the run chose the programs.
        seen: number of attempts that were finished when it closed; -1 while it is open.
        begun: attempts with lower numbers had begun by then, others had not; -1 as above.
        is_exact: whether every measurement equals the search's.
    """

    number: int
    programs: tuple[int, ...]
    first: int
    least: int
    most: int
    allowance: float | None = None
    is_strict: bool = False
    asked: int | None = None
    seen: int = -1
    begun: int = -1
    is_exact: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether all its measurements are made, so that they count."""
        return self.seen >= 0


@dataclass(frozen=True)
class Session:
    """One stretch of work on a run."""

    id: int
    settings: str  # its configuration in JSON; "" if an older evolver stored none
    begun: tuple[int, ...]  # attempts, by number
    finished: tuple[int, ...]  # attempts, in commit order
    closed: tuple[int, ...] = ()  # rounds, by number


@dataclass(frozen=True)
class Request:
    """A request to a model, as it is recorded before it is sent."""

    attempt: int
    call: int  # number of the request within the attempt, from 0; a retry keeps it
    model: str  # the name that the run gives it
    prompt: Prompt
    samples: int = 1
    bound: Bound = field(default_factory=Bound)

    @property
    def name(self) -> str:
        """The name of the request in its run, such as "0012-0"."""
        return request_name(self.attempt, self.call)


def request_name(attempt: int, call: int) -> str:
    """Return the name of an attempt's request in its run."""
    return f"{attempt:04}-{call}"
