"""What the two timers share: a clock, calibration, the price of a message, an interval.

Two timers build on this. Take `Candidate.time` (`sandboxes.timing`) for functions of ordinary
values: numbers, lists, arrays that the function returns. Values travel with each batch and are
compared as a whole, so a function has to take longer than carrying its values; it counts the CPU
time of all processes. Take `scoring.bench` for functions that fill an array, on a GPU or on the
processor, and wherever arrays are large: inputs are made from a secret where the function runs, and
only digests and pieces of the outputs travel. It counts wall time on a GPU.

Both time batches of calls, so that one takes milliseconds; both subtract what a batch of nothing
takes, but no more than a small share, because the candidate's process could slow it; and both call
the reference in turn with the candidate.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

MOST_CALLS = 1000  # of a batch
LEAST = 1e-9  # seconds: no batch takes less, whatever is subtracted
NULL_SHARE = 0.05  # of a batch: no more of a batch of nothing is subtracted


def now() -> float:
    """Return a clock in seconds that stands still while this thread has to wait for a processor."""
    while True:
        waited, moment = _waited(), time.perf_counter()
        if _waited() == waited:  # not kept waiting between the two readings
            return moment - waited


def _waited() -> float:
    with contextlib.suppress(OSError, IndexError):  # not every kernel counts it
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    return 0.0


def more_calls(calls: int, seconds: float, wanted: float, most: int) -> int:
    """Return how many calls to try as a batch, after one that was too short.

    Args:
        calls: of that batch.
        seconds: that it took.
        wanted: seconds that a batch shall take.
        most: calls of a batch.
    """
    enough = math.ceil(1.2 * calls * wanted / max(seconds, LEAST))
    return min(most, max(2 * calls, min(enough, 16 * calls)))


def less_null(seconds: float, null: float) -> float:
    """Subtract what a batch of nothing takes, but no more than `NULL_SHARE`."""
    return seconds - max(0.0, min(null, NULL_SHARE * seconds))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return two of the values between which the median lies, with a probability of 95 %.

    By order statistics (Thompson 1936, https://doi.org/10.1214/aoms/1177732502): the number of
    values below the median is binomial, whatever their distribution. Fewer than six values cannot
    say so much; then it is the least and the largest.
    """
    ordered, count = sorted(values), len(values)
    outside, tail = 0, 1.0  # values left out at each end; 2**count times the chance of one end
    while 2 * (tail + math.comb(count, outside + 1)) <= 0.05 * 2**count:
        outside += 1
        tail += math.comb(count, outside)
    return ordered[outside], ordered[-1 - outside]


@contextlib.contextmanager
def on_processor(processor: int) -> Iterator[None]:
    """Keep this thread on a processor, where that is known and allowed."""
    allowed = os.sched_getaffinity(0)
    if processor not in allowed:
        yield
        return
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
