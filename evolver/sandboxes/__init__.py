"""Sandboxes: where candidates run."""

from evolver.sandboxes.local import LocalSandbox
from evolver.sandboxes.protect import protect_process
from evolver.sandboxes.settings import SandboxSettings

__all__ = ["LocalSandbox", "SandboxSettings", "protect_process"]
