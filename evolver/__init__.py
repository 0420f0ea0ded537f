"""evolver: give it a program and a way to score it; get a better program, with evidence."""

from __future__ import annotations

import importlib.abc
import sys
import warnings
from importlib.machinery import ModuleSpec
from types import ModuleType
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


#: Modules of `evolver.scoring` by their former names, such as `evolver.verify`.
_SCORING = ("bench", "datasets", "devices", "objects", "sources", "straightline", "verify")


class _Shorter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module of `evolver.scoring` by its former name, and says what the name is now."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return how to load it; None for every other module."""
        package, _, module = name.partition(".")
        is_former = package == "evolver" and module.partition(".")[0] in _SCORING
        return ModuleSpec(name, self) if is_former else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module itself, so that it is one by both names."""
        now = spec.name.replace("evolver.", "evolver.scoring.", 1)
        warnings.warn(f"{spec.name} is now {now}", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(now)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give it back its own specification: it was imported by its own name."""
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state


sys.meta_path.append(_Shorter())


def __getattr__(name: str) -> Any:
    """Load what starts runs only when it is asked for: evaluators import this package too."""
    if name in ("evolve", "resume", "run"):
        from evolver import api

        return getattr(api, name)
    if name in _SCORING:  # as evaluators of before import them
        return importlib.import_module(f"evolver.{name}")
    raise AttributeError(f"module 'evolver' has no attribute '{name}'")


def __dir__() -> list[str]:
    """The public names, and not the modules that happen to be imported."""
    return list(__all__)
