"""What the controller and a worker tell each other, and how it travels over their pipe."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from evolver.evaluation.evaluator import EvaluatorSource
from evolver.sandboxes import SandboxSettings
from evolver.tasks.objective import Condition, Objective
from evolver.types import Evaluation, Files, Job

HEADER = struct.Struct(">Q")


@dataclass(frozen=True)
class Stage:
    """One step of a cascade: the evaluator's settings for it, and what it takes to pass."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    require: tuple[Condition, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Setup:
    """All that a worker needs before its first job."""

    evaluator: EvaluatorSource
    objective: Objective
    stages: tuple[Stage, ...]
    timeout: float  # seconds for one evaluation
    sandbox: SandboxSettings
    sandbox_class: str  # "package.module:Class"
    base: Files = field(default_factory=dict)
    main: str = ""  # the program's first file, editable or not


@dataclass(frozen=True)
class Ready:
    """What a worker tells of itself when it is set up."""

    isolation: str
    notes: tuple[str, ...] = ()  # what the user should know of the sandbox
    fits_residuals: bool = False  # tuning costs no evaluations
    references: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    confirms: bool = False  # what is announced is measured by the evaluator's `confirm`


@dataclass(frozen=True)
class Judged:
    """The answer to a job."""

    evaluation: Evaluation
    files: Files | None = None  # the program's with fitted literals; None: as in the job


@dataclass(frozen=True)
class PreflightJob:
    """The wish for a pre-flight of a job's program instead of its evaluation."""

    job: Job


@dataclass(frozen=True)
class Begun:
    """What a worker tells before each evaluation of a job.

    So each has a time of its own, and what a job cost is known even where its worker dies.
    """

    evaluations: int  # of this job, the one that begins now included


def send(stream: IO[bytes], message: object) -> None:
    """Write one message; the other end is as trusted as this one."""
    content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(HEADER.pack(len(content)) + content)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one message; None at the end of the stream."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return pickle.loads(stream.read(HEADER.unpack(header)[0]))
