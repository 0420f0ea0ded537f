"""Is the clock fair? References of an evaluator, timed against themselves as candidates are."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from socket import socketpair
from typing import Any

from evolver.errors import EvolverError
from evolver.sandboxes import timing, wire
from evolver.sandboxes.channel import Channel
from evolver.sandboxes.clocks import interval, now
from evolver.types import Account, Candidate, Printing, Timing

_ROUNDS = 7  # of each reference, where there is time
_LIMIT = 5.0  # seconds after which no further round begins
_PATIENCE = 30.0  # seconds for an answer of the process in which the reference is called
_CPUCLOCK_SCHED = 2  # of the clocks that a pid has, the scheduler's


class AuditedCandidate:
    """A candidate that remembers which references it was timed against.

    Args:
        candidate: it.
        timed: where that is kept.
    """

    def __init__(self, candidate: Candidate, timed: list[Timed]) -> None:
        self._candidate = candidate
        self._timed = timed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._candidate, name)

    def printed(self) -> str:
        """Return the end of what it has printed."""
        return self._candidate.printed() if isinstance(self._candidate, Printing) else ""

    def at(self, parameters: Sequence[float]) -> AuditedCandidate:
        """Return the same candidate with other values for its float literals."""
        return AuditedCandidate(self._candidate.at(parameters), self._timed)

    def time(self, function: str, inputs: Iterable[Sequence[Any]], **options: Any) -> Timing:
        """Time calls of a function; see `evolver.types.Candidate.time`."""
        drawn = iter(inputs)
        found = self._candidate.time(function, drawn, **options)
        if (reference := options.get("reference")) is not None:
            self._timed.append((reference, drawn, options["repeats"]))
        return found


Timed = tuple[Callable[..., Any], Iterator[Sequence[Any]], int]  # a reference, inputs, repeats


def against_themselves(timed: Sequence[Timed], limit: float = _LIMIT) -> tuple[float, ...]:
    """Return the speed-ups of references over themselves: 1 where the clock is fair.

    Each is called in a process of its own, as candidates are, and here, as references are. One that
    cannot be called in a fork of this process is left out.

    Args:
        timed: references, and what they are called with.
        limit: seconds after which no further round begins.
    """
    ends = time.monotonic() + limit
    found = list[float]()
    for reference, drawn, repeats in timed:
        for _ in range(_ROUNDS):
            if found and time.monotonic() > ends:
                return tuple(found)
            # Whatever a function of the evaluator's raises in a process that it was not made for.
            with (
                contextlib.suppress(ValueError, TimeoutError, EvolverError),
                contextlib.closing(_Fork(reference)) as fork,
            ):
                speedup = timing.measure(fork, drawn, repeats, reference).speedup
                assert speedup is not None
                found.append(speedup)
    return tuple(found)


def record(found: Sequence[float]) -> dict[str, Any] | None:
    """Return as plain values what `against_themselves` found; None where nothing was timed."""
    if not found:
        return None
    middle = statistics.median(found)
    low, high = interval(found)
    return {"speedup": middle, "low": low, "high": high, "times": len(found)}


def describe(found: Sequence[float]) -> str:
    """Say in a sentence what `against_themselves` found."""
    middle = statistics.median(found)
    low, high = interval(found)
    spread = 100 * max(high - middle, middle - low) / middle
    said = f"the reference against itself {middle:.2f}, within {spread:.2g} %"
    if len(found) < 6:
        said += f" (measured {len(found)} times; six or more would say how sure that is)"
    return said


class _Fork:
    """A function of this process in a fork of it: what `timing.measure` needs."""

    room = 1 << 23

    def __init__(self, function: Callable[..., Any]) -> None:
        self.rng = Random(0)
        ours, theirs = socketpair()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads may hold locks
            self._pid = os.fork()
        if self._pid == 0:
            try:
                ours.close()
                _serve(function, theirs.fileno())
            finally:
                os._exit(0)
        theirs.close()
        ours.setblocking(False)
        self._channel = Channel(ours.fileno(), ours.fileno(), ours.close)

    def stage(self, batch: Sequence[Sequence[Any]] | None) -> None:
        """Send the arguments of a batch."""
        self._ask("stage" if batch is not None else "null", list(batch or [()]))

    def go(self) -> float:
        """Have the batch called; return the seconds."""
        started = now()
        self._ask("go", [])
        return now() - started

    def results(self) -> Any:
        """Return what the calls returned."""
        return self._ask("results", [])

    def account(self) -> Account:
        """Return what the kernel has counted for the fork."""
        cpu = time.clock_gettime_ns((~self._pid << 3) | _CPUCLOCK_SCHED) / 1e9
        waited = Path(f"/proc/{self._pid}/schedstat").read_text().split()[1]
        return Account(cpu, int(waited) / 1e9)

    def close(self) -> None:
        """Kill the fork."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._channel.close()

    def _ask(self, op: str, value: list[Any]) -> Any:
        deadline = time.monotonic() + _PATIENCE
        tree, buffers = wire.encode(value)
        self._channel.prepare({"op": op, "value": tree}, *buffers)
        self._channel.flush(deadline)
        header, body = self._channel.receive(deadline)
        return wire.decode(header["value"], body)


def _serve(function: Callable[..., Any], link: int) -> None:
    """Do in a fork what a candidate's process does: see `sandbox/session.py`."""
    outbox, frames = wire.Outbox(link), wire.Frames(1 << 40)
    staged: tuple[Callable[..., Any], list[Any]] = (lambda *_: None, [])
    results: list[Any] = []
    while True:
        while (message := frames.take()) is None:
            if not frames.read(link):
                return
        value = wire.decode(message[0]["value"], message[1])
        answer: Any = None
        match message[0]["op"]:
            case "stage":
                staged = function, value
            case "null":
                staged = (lambda *_: None), value
            case "go":
                call, inputs = staged
                results = [call(*one) for one in inputs]
            case "results":
                answer, results = results, []
        tree, buffers = wire.encode(answer)
        outbox.add(wire.frame({"value": tree}, *buffers))
        outbox.flush()
