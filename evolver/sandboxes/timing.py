"""Times calls of a candidate by clocks that it cannot reach: this process's and the kernel's.

A batch of calls is timed at once. Its inputs are sent before the clock starts, and its results are
fetched after the clock has stopped. The CPU time that the kernel counts between start and stop is
that of the calls. Work before or after, in threads or in processes, also takes CPU time: it counts
as if the calls had taken it, except for an allowance for carrying the values. So nothing is gained
by working ahead, by computing results when they are fetched, or by using several cores.

The allowance is measured by carrying the same values in this process; it includes a term for memory
that the candidate's process touches for the first time. Work that hides in the allowance is
bounded: a call counts for at least a third of the CPU time outside of the clock, and so does a call
of the reference. So functions that are lighter than their values cannot be told apart.

The reference is treated as the candidate is: its arguments are decoded afresh, its results are kept
until its clock stops, and wall and CPU time are combined by the same rule (`_joined`). So identical
code takes the same time on both sides. It is called on the processor that the candidate was on,
because one processor of a shared machine is often slower than another for seconds.

The clocks, seeds and counters of the candidate's process are never used.
"""

from __future__ import annotations

import math
import socket
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any, Protocol

from evolver.errors import CandidateOutputError, EvolverError
from evolver.sandboxes import wire
from evolver.sandboxes.clocks import (
    LEAST,
    MOST_CALLS,
    NULL_SHARE,
    interval,
    less_null,
    more_calls,
    now,
    on_processor,
)
from evolver.types import Account, Check, Timing

__all__ = ["Bench", "measure", "now"]  # evaluators take `now` from here

Arguments = Sequence[Any]
Call = tuple[tuple[Any, ...], Any]  # arguments, result

_BATCH = 8e-3  # seconds that a batch takes at least; its overhead is known to 1e-4 s of CPU time
_PATIENCE = 4  # times `_BATCH`: the most that a batch of the reference takes
_NULLS = 5  # how often an empty call is timed
# Carrying values takes 1.0 to 1.5 times as long in the candidate's process as here (measured), and
# for large buffers up to 1.6e-9 s a byte more, because their memory is touched for the first time.
_SLOWER = 1.5
_FRESH = 2e-9  # seconds a byte
# A call counts for at least this share of the CPU time outside of the clock. So work hidden in the
# allowance makes a program appear three times as fast at most.
_FLOOR = 1 / 3


class Bench(Protocol):
    """A function of a candidate that is called in batches; the clocks are on the trusted side."""

    rng: Random
    room: int  # bytes that the arguments or the results of a batch may have

    def stage(self, batch: Sequence[Arguments] | None) -> None:
        """Send the arguments of a batch of calls; None: one call of an empty function."""
        ...

    def go(self) -> float:
        """Have the batch called; return the seconds from the request until all have returned."""
        ...

    def results(self) -> Sequence[Any]:
        """Return the results of all calls of the batch."""
        ...

    def account(self) -> Account:
        """Return the kernel's accounts of its processes so far."""
        ...


def measure(
    bench: Bench,
    inputs: Iterable[Arguments],
    repeats: int,
    reference: Callable[..., Any] | None = None,
    check: Check | None = None,
) -> Timing:
    """Time batches of calls, in turn with batches of the reference; see `Candidate.time`.

    Raises:
        ValueError: the inputs ran out.
    """
    clock = _Clock(bench, _arguments(inputs), reference)
    first = clock.call_once()  # a warm-up
    if check is not None:
        _check(check, first)
    calls = _calibrate(clock)
    batches = [clock.time(calls, with_reference=True) for _ in range(repeats)]
    quickest = min(batches, key=lambda batch: batch.seconds)
    samples = list[Call]()
    for batch in batches:
        # A batch with skipped calls would be the quickest, so all of its calls are shown.
        one = batch.calls[bench.rng.randrange(calls)]
        samples += batch.calls if batch is quickest else [one]
    if check is not None:
        for sample in samples:
            _check(check, sample)
    seconds = [batch.seconds for batch in batches]
    references = [batch.reference for batch in batches if batch.reference is not None]
    low, high = interval(seconds)
    return Timing(
        seconds=statistics.median(seconds),
        low=low,
        high=high,
        least=quickest.seconds,
        calls=calls,
        samples=tuple(samples),
        reference=statistics.median(references) if references else None,
        speedup=min(references) / quickest.seconds if references else None,
    )


def _arguments(inputs: Iterable[Arguments]) -> Iterator[Arguments]:
    """Iterate over the arguments of each call.

    Raises:
        TypeError: the inputs cannot be iterated over, or those of one call cannot.
    """
    wanted = "time() needs an endless iterator of the arguments of each call, such as (7,)"
    if not isinstance(inputs, Iterable):
        raise TypeError(f"{wanted}; it got {type(inputs).__name__}")
    for arguments in inputs:
        if not isinstance(arguments, Iterable) or isinstance(arguments, str | bytes):
            raise TypeError(f"{wanted}; one was {type(arguments).__name__}")
        yield arguments


def _check(check: Check, call: Call) -> None:
    """Have an evaluator check a result.

    Raises:
        CandidateOutputError: the result is wrong.
    """
    try:
        answer = check(*call)
    except EvolverError:
        raise
    except Exception as error:  # noqa: BLE001 - a wrong result may make the check raise anything
        answer = f"{type(error).__name__}: {error}"
    if isinstance(answer, str) and answer:
        raise CandidateOutputError(f"a timed call returned a wrong result: {answer}")
    if answer is not None and not answer:
        raise CandidateOutputError("a timed call returned a wrong result")


def _draw(drawn: Iterator[Arguments], calls: int) -> list[tuple[Any, ...]]:
    batch = [tuple(one) for one in islice(drawn, calls)]
    if len(batch) < calls:
        raise ValueError(
            "the inputs ran out: give time() an iterator that draws fresh ones without end"
        )
    return batch


def _as_many(results: Any, batch: Sequence[Any]) -> list[Any]:
    if type(results) is not list or len(results) != len(batch):
        raise CandidateOutputError("not every timed call returned a result")
    return results


@dataclass(frozen=True)
class _Batch:
    """A timed batch of calls; the seconds are those of one call."""

    calls: list[Call]
    seconds: float
    reference: float | None
    size: int  # bytes of the arguments or of the results, the larger


class _Clock:
    """Times batches by the rules above, on inputs that it draws.

    Args:
        bench: makes the calls.
        drawn: their arguments.
        reference: a function of this process, or None.
    """

    def __init__(
        self, bench: Bench, drawn: Iterator[Arguments], reference: Callable[..., Any] | None
    ) -> None:
        self.bench = bench
        self._drawn = drawn
        self._reference = None if reference is None else _Reference(reference, bench.room)
        self._account = bench.account()  # at the end of the last batch
        self._processor = -1  # of the last batch; -1: unknown, or more than one
        nulls = [self._run(None)[:3] for _ in range(_NULLS)]
        self._null_wall, self._null_cpu, self._null_aside = map(
            statistics.median, zip(*nulls, strict=True)
        )

    def call_once(self) -> Call:
        """Make one call without timing it; return it."""
        (arguments,) = batch = _draw(self._drawn, 1)
        (result,) = _as_many(self._run(batch)[-1], batch)
        return arguments, result

    def time(self, calls: int, *, with_reference: bool = False) -> _Batch:
        """Time a batch of calls, and then a batch of the reference if asked to."""
        batch = _draw(self._drawn, calls)
        wall, cpu, aside, results = self._run(batch)
        results = _as_many(results, batch)
        sent = _Parcel(batch)
        returned = _Parcel(results)
        allowance = _SLOWER * (sent.unpacking + returned.packing)
        allowance += _FRESH * (sent.size + returned.size)
        took = _joined(less_null(wall, self._null_wall), less_null(cpu, self._null_cpu))
        hidden = aside - allowance - min(self._null_aside, NULL_SHARE * cpu)
        floor = _FLOOR * aside / calls
        reference = None
        if with_reference and self._reference is not None:
            with on_processor(self._processor):
                reference = max(self._reference.time(sent), floor)
        return _Batch(
            calls=list(zip(batch, results, strict=True)),
            seconds=max((took + max(0.0, hidden)) / calls, floor),
            reference=reference,
            size=max(sent.size, returned.size),
        )

    def _run(self, batch: list[tuple[Any, ...]] | None) -> tuple[float, float, float, Any]:
        """Run a batch.

        Returns:
            Its wall time; its CPU time; the CPU time outside of the clock, from the end of the last
            batch until the results had come; the results.
        """
        self.bench.stage(batch)
        start = self.bench.account()
        wall = self.bench.go()
        stop = self.bench.account()
        results = self.bench.results()
        before, self._account = self._account, self.bench.account()
        cpu = stop.cpu - start.cpu
        self._processor = stop.processor if start.processor == stop.processor else -1
        wall = max(wall - (stop.waited - start.waited), LEAST)
        return wall, cpu, self._account.cpu - before.cpu - cpu, results


class _Parcel:
    """Encoded values, and the CPU time for carrying them, measured here.

    Attributes:
        size: bytes.
        packing: CPU seconds of encoding them and writing them to a socket.
        unpacking: CPU seconds of reading them from there and decoding them.
    """

    def __init__(self, values: list[Any]) -> None:
        self.packing = self.unpacking = 0.0
        self._tree: Any = None
        self._body = bytearray()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            outbox, frames = wire.Outbox(ours.fileno()), wire.Frames(1 << 40)
            started = time.thread_time()
            tree, buffers = wire.encode(values)
            pieces = wire.frame({"value": tree}, *buffers)
            outbox.add(pieces)
            self.size = sum(map(len, pieces))
            while True:
                outbox.flush()
                started, before = time.thread_time(), started
                self.packing += started - before
                frames.read(theirs.fileno())
                message = frames.take()
                started, before = time.thread_time(), started
                self.unpacking += started - before
                if message is not None:
                    break
        self._tree, self._body = message[0]["value"], message[1]
        self.open()
        self.unpacking += time.thread_time() - started

    def open(self) -> list[Any]:
        """Decode the values afresh, as for a candidate."""
        # In memory of their own: a candidate's arguments and results may be views of it.
        values: list[Any] = wire.decode(self._tree, bytearray(self._body))
        return values


def _joined(wall: float, cpu: float) -> float:
    """Combine two clocks: the CPU time counts, unless the calls slept or waited.

    The wall clock may show a little more than the CPU time: waking a process takes a while.
    """
    return max(cpu, (1 - NULL_SHARE) * wall, LEAST)


def _calibrate(clock: _Clock) -> int:
    """Return the number of calls of a batch that is long enough."""
    calls = 1
    batch = min((clock.time(calls) for _ in range(2)), key=lambda batch: batch.seconds)
    took = batch.seconds
    most = max(1, min(MOST_CALLS, clock.bench.room // batch.size))
    while took * calls < _BATCH and calls < most:
        calls = more_calls(calls, took * calls, _BATCH, most)
        took = min(clock.time(calls).seconds for _ in range(2))  # other work may interrupt it
    return calls


class _Reference:
    """A function of this process, timed as candidates are.

    Args:
        function: the reference.
        room: bytes that the arguments of a batch may have.
    """

    def __init__(self, function: Callable[..., Any], room: int) -> None:
        self._function = function
        self._room = room
        self._expected = 0.0  # seconds a call; 0: not called yet

    def time(self, inputs: _Parcel) -> float:
        """Call it with a candidate's inputs; return its seconds a call.

        Its own time decides how often: a slow one gets some of the inputs, a quick one gets them
        several times.
        """
        if not self._expected:
            self._expected = self._clock(inputs.open()[:1])
        enough = math.ceil(_BATCH / self._expected)
        batch = inputs.open()[: _PATIENCE * enough]
        most = min(MOST_CALLS // len(batch), self._room // inputs.size)
        for _ in range(min(math.ceil(enough / len(batch)), most) - 1):
            batch += inputs.open()
        self._expected = self._clock(batch)
        return self._expected

    def _clock(self, batch: list[Arguments]) -> float:
        function = self._function
        wall, cpu = now(), time.process_time()  # in this order, because `now` takes CPU time
        results = [function(*arguments) for arguments in batch]
        cpu = time.process_time() - cpu
        wall = now() - wall
        return _joined(wall, cpu) / len(results)
