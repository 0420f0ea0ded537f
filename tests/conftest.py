"""What holds for every test: no request leaves this machine, neither from here nor from a child."""

from __future__ import annotations

import os

os.environ["EVOLVER_ALLOW_REMOTE_REQUESTS"] = "0"  # read by evolver.models.remote when imported
# Read by numpy and torch when imported: the references that tests time here have one thread, as a
# worker's have.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
