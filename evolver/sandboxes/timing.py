"""How long calls of a candidate take, by what it cannot reach: our clock and the kernel's accounts.

A batch of calls is timed at once. Its inputs are sent before the clock starts, and all that it
returned is fetched after the clock has stopped. What the candidate could do meanwhile, before or
after, in threads or in processes, is work, and the kernel counts work: whatever CPU time its
processes took between two batches and is not explained by carrying values counts as if the calls
had taken it. So nothing is gained by working ahead, by returning what is computed when somebody
looks, or by more than one core. What is carried is carried here once more, for the time it takes.

Where other work has the processors, the wall clock tells how busy the machine is. So the time in
which the kernel kept threads waiting for one is subtracted; what is left above the CPU time was
slept.

The clocks, seeds and counters of the candidate's own process are never asked.
"""

from __future__ import annotations

import contextlib
import math
import socket
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Protocol

from evolver.errors import CandidateOutputError
from evolver.sandboxes import wire
from evolver.types import Account, Timing

Arguments = Sequence[Any]
Call = tuple[tuple[Any, ...], Any]  # what was passed, and what came back

_BATCH = 4e-3  # seconds that a batch takes at least; carrying the word is known to some 1e-5
_MOST = 1000  # calls of a batch
_LEAST = 1e-9  # seconds: no batch takes less, whatever is subtracted
_NULLS = 5  # how often the call of nothing is timed
# The candidate's process could slow the call of nothing, so no more of it than this is believed.
_NULL_SHARE = 0.05
# What carrying takes in the candidate's process, where most memory is touched for the first time,
# over what it takes here: 0.7 to 3.2 were measured. Were it all believed, work as long as the
# difference could hide behind it, so of the CPU time half counts as work in any case.
_FRESH = 3.0
_CARRIED_SHARE = 0.5


class Bench(Protocol):
    """A function of a candidate, to be called in batches; its clocks are the trusted side's."""

    rng: Random
    room: int  # bytes that the arguments or the results of a batch may have

    def stage(self, batch: Sequence[Arguments] | None) -> None:
        """Send the arguments of a batch of calls; None: of one call of nothing."""
        ...

    def go(self) -> float:
        """Have the batch called; return the seconds from the word until all have returned."""
        ...

    def results(self) -> Sequence[Any]:
        """Return what the calls of the batch returned, all of it."""
        ...

    def account(self) -> Account:
        """Return what the kernel has counted for its processes so far."""
        ...


def measure(
    bench: Bench,
    inputs: Iterable[Arguments],
    repeats: int,
    reference: Callable[..., Any] | None,
) -> Timing:
    """Time batches of calls, in turn with batches of the reference; see `Candidate.time`.

    Raises:
        ValueError: the inputs ran out.
    """
    clock = _Clock(bench, iter(inputs))
    calls = _calibrate(clock)
    seconds, references, samples = list[float](), [], list[Call]()
    quickest, place = list[Call](), 0
    for _ in range(repeats):
        took, batch, results = clock.time(calls)
        made = list(zip(batch, results, strict=True))
        samples.append(made[bench.rng.randrange(calls)])
        if not seconds or took / calls < min(seconds):
            quickest, place = made, len(seconds)
        seconds.append(took / calls)
        if reference is not None:
            references.append(_time_here(reference, batch) / calls)
    samples[place : place + 1] = (
        quickest  # who skips calls in one batch would be the quickest there
    )
    low, high = interval(seconds)
    return Timing(
        seconds=statistics.median(seconds),
        low=low,
        high=high,
        least=min(seconds),
        calls=calls,
        samples=tuple(samples),
        reference=statistics.median(references) if references else None,
        speedup=min(references) / min(seconds) if references else None,
    )


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


class _Clock:
    """Times batches by the rule above, on inputs that it draws.

    Args:
        bench: where the calls are made.
        drawn: their arguments.
    """

    def __init__(self, bench: Bench, drawn: Iterator[Arguments]) -> None:
        self.bench = bench
        self._drawn = drawn
        self._account = bench.account()  # when the last batch was over
        nulls = [self._run(None)[:2] for _ in range(_NULLS)]
        self._null_wall, self._null_cpu = map(min, zip(*nulls, strict=True))

    def time(self, calls: int) -> tuple[float, list[tuple[Any, ...]], list[Any]]:
        """Have a batch of calls made; return its seconds, its arguments and its results."""
        batch = [tuple(one) for one in islice(self._drawn, calls)]
        if len(batch) < calls:
            raise ValueError(
                "the inputs to be timed ran out: give an iterator that draws fresh ones for ever"
            )
        wall, cpu, results = self._run(batch)
        if type(results) is not list or len(results) != len(batch):
            raise CandidateOutputError("not every timed call gave a result")
        carried = _FRESH * (_carrying(batch) + _carrying(results))
        worked = _less(_less(cpu, self._null_cpu, _NULL_SHARE), carried, _CARRIED_SHARE)
        return max(_less(wall, self._null_wall, _NULL_SHARE), worked), batch, results

    def _run(self, batch: list[tuple[Any, ...]] | None) -> tuple[float, float, Any]:
        """Return a batch's wall time, the CPU time since the last one's end, and its results."""
        self.bench.stage(batch)
        start = self.bench.account()
        wall = self.bench.go()
        wall -= self.bench.account().waited - start.waited
        results = self.bench.results()
        before, self._account = self._account, self.bench.account()
        return max(wall, _LEAST), self._account.cpu - before.cpu, results


def _less(taken: float, overhead: float, share: float) -> float:
    """Subtract an overhead, but no more than a share of what it is subtracted from."""
    return taken - min(overhead, share * taken)


def _calibrate(clock: _Clock) -> int:
    """Return how many calls make a batch that is long enough; the first call is a warm-up."""
    clock.time(1)
    calls = 1
    took, batch, results = min((clock.time(calls) for _ in range(2)), key=lambda timed: timed[0])
    most = max(1, min(_MOST, clock.bench.room // max(_size(batch), _size(results))))
    while took < _BATCH and calls < most:
        wanted = math.ceil(1.2 * calls * _BATCH / took)
        calls = min(most, max(2 * calls, min(wanted, 16 * calls)))
        took = min(clock.time(calls)[0] for _ in range(2))  # other work may come between
    return calls


def _time_here(reference: Callable[..., Any], batch: Sequence[Arguments]) -> float:
    """Call the reference in this process; return its seconds, by the rule for candidates."""
    wall, cpu = now(), time.process_time()
    for arguments in batch:
        reference(*arguments)
    return max(now() - wall, time.process_time() - cpu)


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


def _size(value: Any) -> int:
    tree, buffers = wire.encode(value)
    return sum(map(len, wire.frame({"value": tree}, *buffers)))


def _carrying(value: Any) -> float:
    """Return the CPU seconds of writing a value to a socket and reading it from there."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        started = time.thread_time()
        tree, buffers = wire.encode(value)
        outbox, frames = wire.Outbox(ours.fileno()), wire.Frames(1 << 40)
        outbox.add(wire.frame({"value": tree}, *buffers))
        while (message := frames.take()) is None:
            outbox.flush()
            frames.read(theirs.fileno())
        wire.decode(message[0]["value"], message[1])
        return time.thread_time() - started
