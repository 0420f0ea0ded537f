"""Sandboxes: where candidates run."""

from evolver.sandboxes.local import LocalSandbox
from evolver.sandboxes.settings import SandboxSettings

__all__ = ["LocalSandbox", "SandboxSettings"]
