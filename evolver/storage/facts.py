"""The facts of a run as records: what was decided, asked, judged and measured again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from evolver.types import Bound, Elite, Evaluation, Files, Program, Prompt


@dataclass(frozen=True)
class Attempt:
    """One pass of the loop, as it was decided before anything was spent."""

    id: int
    seen: int  # finished attempts, in commit order, that the decision knew of
    operator: str
    island: int
    parent: int | None  # None for seeds
    inspirations: tuple[int, ...] = ()
    reserved: int = 1  # evaluations that it may spend
    model: str = ""  # the model that it asks; "" for none
    leader: int | None = None  # the attempt whose first request answers this one's too


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
        """The program with its verdict, where that is "ok"."""
        program, evaluation = self.program, self.evaluation
        if program is None or evaluation is None or evaluation.status != "ok":
            return None
        return Elite(program, evaluation)


@dataclass(frozen=True)
class Confirmation:
    """A measurement that repeats one, made before a winner is announced.

    Attributes:
        program: its id.
        evaluation: the new measurement.
        seen: attempts that were finished by then; -1 where an older evolver did not say.
        begun: attempts with lower numbers had begun by then, others had not; -1 as above.
        round: that it belongs to; 0 where it stands for itself, by the rules of older runs.
        repeat: its number within the round, from 0: with it go the secret inputs.
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

    It is planned before anything is measured: what ends it depends on no score but on whether the
    first repeats come out exactly as the search had them.

    Attributes:
        number: from 1.
        programs: their ids, the seed's among them.
        first: repeats after which it ends where every one of them was exact.
        least: repeats of each program, at least.
        most: repeats of each program, at most.
        allowance: seconds of evaluation that it may take beyond the least; None: as many as it has.
        is_strict: whether the evaluator measures by its `confirm`, unlike in the search.
        asked: the program that somebody asked for; None where the run chose.
        seen: attempts that were finished when it closed; -1 while it is open.
        begun: attempts with lower numbers had begun by then, others had not; -1 as above.
        is_exact: whether every measurement came out as before.
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
        """Whether its measurements are all there, and count."""
        return self.seen >= 0


@dataclass(frozen=True)
class Session:
    """One stretch of work on a run."""

    id: int
    settings: str  # what it was told to do, in JSON; "" where an older evolver did not say
    begun: tuple[int, ...]  # attempts, by number
    finished: tuple[int, ...]  # attempts, in commit order
    closed: tuple[int, ...] = ()  # rounds, by number


@dataclass(frozen=True)
class Request:
    """One request to a model, as it is recorded before it is sent."""

    attempt: int
    call: int  # the attempt's completions are counted by calls, from 0
    model: str  # the name that the run gives it
    prompt: Prompt
    samples: int = 1
    bound: Bound = field(default_factory=Bound)

    @property
    def name(self) -> str:
        """What the request is called in its run, such as "0012-0"."""
        return request_name(self.attempt, self.call)


def request_name(attempt: int, call: int) -> str:
    """Return what an attempt's call is called in its run."""
    return f"{attempt:04}-{call}"
