"""Times functions of arrays on a device, a GPU or the processor, by this process's clock.

A candidate's function fills an output from inputs: `multiply(a, b, out)`. It runs in the
candidate's process, which controls the clocks, events and synchronisation there. So nothing that is
measured or reported there counts. A cycle has three parts:

    stage      draws inputs there from a secret, fills outputs with NaN, flushes the caches
    go         makes the calls, each on inputs of its own, and waits for the device
    digests    hashes every few thousand bytes of the outputs to a number

This process times each part. Work can be moved out of "go" only into the other two: the inputs do
not exist before "stage", and the outputs are fixed after "digests". So from the time of the other
two only as much is subtracted as a null cycle, which calls nothing, takes here. Then pieces of the
outputs are chosen at random and fetched; they have to fit their digests, and to be right.

The reference runs through the same cycles in this process, on the same device, in turn with the
candidate (ABAB), so a drifting clock drifts for both. Every second cycle of the candidate counts as
another version of it: the difference of the two versions is the noise of the comparison. The time
of the reference before the candidate is called (`time_alone`) limits its time beside the candidate.
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
