"""Times functions of arrays on a device, a GPU or the processor, by this process's clock alone.

A candidate's function fills an output from inputs: `multiply(a, b, out)`. It runs in the process
of the candidate, where clocks, events and synchronisation belong to whoever wrote it. So nothing
that is measured or said there counts. A cycle is

    stage      inputs are drawn there from a secret, outputs filled with NaN, the caches emptied
    go         the calls are made, each on inputs of its own, and the device is waited for
    digests    every few thousand bytes of the outputs are bound to a number

and this process takes the time of each. What could be moved out of "go" would be moved into the
others, for before them the inputs and after them the outputs cannot be changed any more. So of the
others only as much is forgiven as the same cycle takes here with calls of nothing. Then pieces of
the outputs, chosen now, are fetched; they have to fit their numbers, and to be right.

The reference goes through the same cycles in this process, on the same device, in turn with the
candidate's (ABAB), so that a clock that drifts drifts for both; and every second cycle of the
candidate's counts as another version of it. By what these two seem to differ, any two may seem to.
What the reference takes before the candidate is called at all (`time_alone`) says how long it may
take beside it.
"""

import warnings
from typing import Any

from evolver.scoring.bench.comparing import Comparison, compare, time_alone, verify
from evolver.scoring.bench.cycles import GUEST, Bench, Call, Drawn, Piece, in_candidate, in_worker

__all__ = [
    "GUEST",
    "Bench",
    "Call",
    "Comparison",
    "Drawn",
    "Piece",
    "compare",
    "in_candidate",
    "in_worker",
    "time_alone",
    "verify",
]

_FORMER = {"there": in_candidate, "here": in_worker, "alone": time_alone}


def __getattr__(name: str) -> Any:
    """Return a function by its former name, with a warning."""
    if name not in _FORMER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = _FORMER[name]
    warnings.warn(f"bench.{name} is now bench.{found.__name__}", DeprecationWarning, stacklevel=2)
    return found
