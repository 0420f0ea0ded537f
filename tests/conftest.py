"""What holds for every test: no request leaves this machine, neither from here nor from a child."""

from __future__ import annotations

import os

os.environ["EVOLVER_ALLOW_REMOTE_REQUESTS"] = "0"  # read by evolver.models.remote when imported
