"""`sandbox/bench.py`, loaded by path: both sides run this file."""

from __future__ import annotations

import importlib.util
from typing import Any

from evolver.bundled import bundled

SOURCE = bundled("sandbox") / "bench.py"


def _load() -> Any:
    spec = importlib.util.spec_from_file_location(__name__ + "_file", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


guest = _load()
