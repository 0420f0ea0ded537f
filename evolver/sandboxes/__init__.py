"""Sandboxes: candidates run in them, apart from the process that scores them."""

from evolver.sandboxes.local import LocalSandbox, lacks, strongest_tier
from evolver.sandboxes.process import die_with, protect_process
from evolver.sandboxes.settings import SandboxSettings

__all__ = [
    "LocalSandbox",
    "SandboxSettings",
    "die_with",
    "lacks",
    "protect_process",
    "strongest_tier",
]
