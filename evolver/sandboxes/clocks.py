"""Common parts of the two timers: a clock, calibration, the null batch, an interval.

Take `Candidate.time` (`sandboxes.timing`) for functions that return ordinary values, such as
numbers, lists and arrays. Arguments and results travel with each batch, so it cannot time a
function that takes less than carrying them. Take `scoring.bench` for functions that fill an array,
on a GPU or on the processor, and for all large arrays: the inputs are drawn from a secret where the
function runs, and only digests and pieces of the outputs travel.

Both time batches of calls that take milliseconds, call the reference in turn with the candidate,
and subtract the time of a null batch: one that does nothing. Only a small share is subtracted at
most, because the candidate's process could slow the null batch.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

MOST_CALLS = 1000  # of a batch
LEAST = 1e-9  # seconds that a batch takes at least
NULL_SHARE = 0.05  # of a batch: the most that is subtracted for a null batch


def now() -> float:
    """Return a clock in seconds that stops while this thread waits for a processor."""
    while True:
        waited, moment = _waited(), time.perf_counter()
        if _waited() == waited:  # no wait between the two readings
            return moment - waited


def _waited() -> float:
    with contextlib.suppress(OSError, IndexError):  # some kernels do not count it
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    return 0.0


def more_calls(calls: int, seconds: float, wanted: float, most: int) -> int:
    """Return the number of calls of the next batch, after one that was too short.

    Args:
        calls: number of calls of that batch.
        seconds: its time.
        wanted: seconds that a batch has to take.
        most: largest number of calls.
    """
    enough = math.ceil(1.2 * calls * wanted / max(seconds, LEAST))
    return min(most, max(2 * calls, min(enough, 16 * calls)))


def less_null(seconds: float, null: float) -> float:
    """Subtract the time of a null batch, but at most `NULL_SHARE`."""
    return seconds - max(0.0, min(null, NULL_SHARE * seconds))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return two of the values between which the median lies, with a probability of 95 %.

    By order statistics (Thompson 1936, https://doi.org/10.1214/aoms/1177732502): for every
    distribution the number of values below the median is binomial. Fewer than six values do not
    reach 95 %; then the least and the largest are returned.
    """
    ordered, count = sorted(values), len(values)
    outside, tail = 0, 1.0  # values left out at each end; 2**count times the chance of one end
    while 2 * (tail + math.comb(count, outside + 1)) <= 0.05 * 2**count:
        outside += 1
        tail += math.comb(count, outside)
    return ordered[outside], ordered[-1 - outside]


@contextlib.contextmanager
def on_processor(processor: int) -> Iterator[None]:
    """Keep this thread on a processor, if it is known and allowed."""
    allowed = os.sched_getaffinity(0)
    if processor not in allowed:
        yield
        return
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
