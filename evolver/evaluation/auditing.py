"""Checks that timing is fair: an evaluator's references are timed against themselves."""

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

_ROUNDS = 7  # of each reference, if time allows
_LIMIT = 5.0  # seconds after which no further round begins
_PATIENCE = 30.0  # seconds for an answer of the process in which the reference is called
_CPUCLOCK_SCHED = 2  # the scheduler's clock of a pid


class AuditedCandidate:
    """A candidate that records the references it was timed against.

    Args:
        candidate: does the work.
        timed: the references are appended here.
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
    """Return the speed-ups of references over themselves: 1 if timing is fair.

    Each is called in its own process, as candidates are, and here, as references are. One that
    cannot be called in a fork of this process is left out.

    Args:
        timed: references with their inputs.
        limit: seconds after which no further round begins.
    """
    ends = time.monotonic() + limit
    found = list[float]()
    for reference, drawn, repeats in timed:
        for _ in range(_ROUNDS):
            if found and time.monotonic() > ends:
                return tuple(found)
            # The evaluator's function was not written to run in another process.
            with (
                contextlib.suppress(ValueError, TimeoutError, EvolverError),
                contextlib.closing(_Fork(reference)) as fork,
            ):
                speedup = timing.measure(fork, drawn, repeats, reference).speedup
                assert speedup is not None
                found.append(speedup)
    return tuple(found)


def record(found: Sequence[float]) -> dict[str, Any] | None:
    """Return the results of `against_themselves` as plain values; None if nothing was timed."""
    if not found:
        return None
    middle = statistics.median(found)
    low, high = interval(found)
    return {"speedup": middle, "low": low, "high": high, "times": len(found)}


def describe(found: Sequence[float]) -> str:
    """Return the results of `against_themselves` as a sentence."""
    middle = statistics.median(found)
    low, high = interval(found)
    spread = 100 * max(high - middle, middle - low) / middle
    said = f"the reference against itself {middle:.2f}, within {spread:.2g} %"
    if len(found) < 6:
        said += f" (measured {len(found)} times; six or more would say how sure that is)"
    return said


class _Fork:
    """A function in a fork of this process, with the methods that `timing.measure` needs."""

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
        """Return the results of the calls."""
        return self._ask("results", [])

    def account(self) -> Account:
        """Return the kernel's account of the fork."""
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
    """Answer requests in the fork, as `sandbox/session.py` does in a candidate's process."""
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
