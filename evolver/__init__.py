"""evolver: give it a program and a way to score it; get a better program, with evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evolver.errors import (
    CandidateCrashed,
    CandidateError,
    CandidateOutputError,
    CandidateTimeout,
    EvolverError,
    UsageError,
)
from evolver.types import Candidate, Context, Evaluation, Program, Proposal, Result, Tune

if TYPE_CHECKING:
    from evolver.api import evolve, resume, run

__all__ = [
    "Candidate",
    "CandidateCrashed",
    "CandidateError",
    "CandidateOutputError",
    "CandidateTimeout",
    "Context",
    "Evaluation",
    "EvolverError",
    "Program",
    "Proposal",
    "Result",
    "Tune",
    "UsageError",
    "evolve",
    "resume",
    "run",
]


def __getattr__(name: str) -> Any:
    """Load what starts runs only when it is asked for: evaluators import this package too."""
    if name in ("evolve", "resume", "run"):
        from evolver import api

        return getattr(api, name)
    raise AttributeError(f"module 'evolver' has no attribute '{name}'")


def __dir__() -> list[str]:
    """The public names, and not the modules that happen to be imported."""
    return list(__all__)
