"""What holds for every test: no request leaves this machine, neither from here nor from a child."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ["EVOLVER_ALLOW_REMOTE_REQUESTS"] = "0"  # read by evolver.models.remote when imported
# Read by numpy and torch when imported: the references that tests time here have one thread, as a
# worker's have.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

# How long a draw takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("whole", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("whole"), max_examples=20)
settings.load_profile("whole")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the names of skipped tests, one a line, into the file that EVOLVER_SKIPPED names.

    `pytest @FILE` runs them on a machine that has what they lacked.
    """
    if file := os.environ.get("EVOLVER_SKIPPED"):
        skipped = {report.nodeid for report in terminalreporter.stats.get("skipped", ())}
        Path(file).write_text("".join(f"{name}\n" for name in sorted(skipped)), encoding="utf-8")
