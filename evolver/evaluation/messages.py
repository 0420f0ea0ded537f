"""The messages between the controller and a worker, and how a pipe carries them."""

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
    """One step of a cascade: the evaluator's settings, and the conditions for the next step."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    require: tuple[Condition, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Setup:
    """Everything that a worker needs before its first job."""

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
    """A worker's description of itself, sent when it is set up."""

    isolation: str
    notes: tuple[str, ...] = ()  # problems of the sandbox, in sentences
    fits_residuals: bool = False  # tuning spends no evaluations
    references: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    confirms: bool = False  # the evaluator has a stricter measurement


@dataclass(frozen=True)
class Judged:
    """The answer to a job."""

    evaluation: Evaluation
    files: Files | None = None  # with fitted literals; None: as in the job


@dataclass(frozen=True)
class PreflightJob:
    """A request for a pre-flight of a job's program instead of its evaluation."""

    job: Job


@dataclass(frozen=True)
class Begun:
    """Sent by a worker before each evaluation of a job.

    Each evaluation gets its own timeout, and the cost of a job is known even if its worker dies.
    """

    evaluations: int  # of this job so far, including the one that begins now


def send(stream: IO[bytes], message: object) -> None:
    """Write one message. Both ends are trusted."""
    content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(HEADER.pack(len(content)) + content)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one message; None at the end of the stream."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return pickle.loads(stream.read(HEADER.unpack(header)[0]))
