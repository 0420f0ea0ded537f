"""What holds for every test: no request leaves this machine, neither from here nor from a child."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["EVOLVER_ALLOW_REMOTE_REQUESTS"] = "0"  # read by evolver.models.remote when imported

sys.path.insert(0, str(Path(__file__).parent))  # `llm_server` is shared by tests of all folders
