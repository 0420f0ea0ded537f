"""What holds for every test: no request leaves this machine, neither from here nor from a child."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

os.environ["EVOLVER_ALLOW_REMOTE_REQUESTS"] = "0"  # read by evolver.models.remote when imported
# Read by numpy and torch when imported: the references that tests time here have one thread, as a
# worker's have.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

# How long a draw takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
