"""Guest code: calls the kernel that the evaluator wrote from the candidate, on a GPU.

The evaluator trusts none of it, as in compiled.py, the variant for the processor.
"""

from __future__ import annotations

import importlib.util
from typing import Any

_terms: list[Any] = []


def prepare(binade: int, rounds: int, device: str) -> None:
    """Load the kernel, and set the terms of its calls."""
    spec = importlib.util.spec_from_file_location("kernel", "kernel.py")
    assert spec is not None
    assert spec.loader is not None
    kernel = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kernel)
    _terms[:] = [kernel, device, binade, rounds]


def values(first: int, count: int) -> bytes:
    """Return the values at `count` floats from that with the bits `first`, as bytes."""
    kernel, device, *_ = _terms
    found: bytes = kernel.values(first, count, device).cpu().numpy().tobytes()
    return found


def fold(x: Any, secret: Any, out: Any) -> None:
    """Set each output to a sum of the bits of many values: see harness.c."""
    kernel, _, binade, rounds = _terms
    kernel.fold(x, secret, out, binade, rounds)
