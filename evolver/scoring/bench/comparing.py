"""Verifies a function, and times it beside a reference."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evolver.errors import CandidateOutputError
from evolver.sandboxes.clocks import MOST_CALLS, interval, less_null, more_calls
from evolver.scoring.bench.cycles import Bench, Call, Piece
from evolver.scoring.bench.source import guest

_BATCH = {"cuda": 0.02}  # seconds that the calls of a batch take at least
_BATCH_HERE = 0.01  # on the processor, which has no launches
_ROOM = {"cuda": 1 << 32}  # bytes of inputs and outputs of a batch
_ROOM_HERE = 1 << 26
_NULLS = 3  # null cycles
_SLACK = 1.1  # factor for the same work there instead of here, or in turn instead of alone
_WAYS = 5e-4  # seconds for messages to the candidate's process and back
_AROUND_SHARE = 0.1  # of "go": the most subtracted from "around" beyond its time here
_TRIES = 3  # at a count of calls that makes a batch
_ALONE = {"cuda": 10}  # batches of the reference alone: a warm GPU is slower
_ALONE_HERE = 3
_OPENED = 24  # segments of a batch that are fetched


@dataclass(frozen=True)
class Comparison:
    """How long a function takes beside a reference; seconds a call.

    Attributes:
        seconds: the median over the batches.
        low: lower end of a 95 % interval for that median.
        high: its upper end.
        reference: the median of the reference.
        ratio: time of the reference over time of the function: of the medians, on the processor of
            the minima, because other work only adds time there.
        noise: relative difference of the function from itself, measured as two.
        calls: of each batch.
    """

    seconds: float
    low: float
    high: float
    reference: float
    ratio: float
    noise: float
    calls: int

    @property
    def speedup(self) -> float:
        """`ratio`, but at most 1 if the gain is within the noise; a loss is never rounded up."""
        return self.ratio if self.ratio > 1 + self.noise else min(1.0, self.ratio)


def verify(
    bench: Bench, draw: Callable[[], Call], check: Callable[[Piece], None], inputs: int = 5
) -> None:
    """Verify a function on fresh inputs, before it is timed.

    Args:
        bench: runs it.
        draw: returns a call: other scales each time.
        check: raises CandidateOutputError if a piece is wrong.
        inputs: calls, each made twice.

    Raises:
        CandidateOutputError: a result is wrong, the same call gave two results, or inputs changed.
    """
    for _ in range(inputs):
        call, key = draw(), bench.secret()
        cycle = bench.cycle([call], key=key)
        if not bench.keeps_inputs(0):
            raise CandidateOutputError("it changed its inputs; write to the output alone")
        for piece in bench.pieces([call], cycle, key, _OPENED):
            _judge(piece, check)
        if (bench.again(cycle, call, key).digests != cycle.digests).any():
            raise CandidateOutputError(
                "the same call gave two results; do threads of it write to the same place?"
            )


def time_alone(reference: Bench, draw: Callable[[], Call]) -> float:
    """Time a reference alone on the device, before the candidate is called.

    Args:
        reference: from `in_worker`.
        draw: returns a call.

    Returns:
        Seconds of a call.
    """
    side = _Side(reference, draw, _trust)
    side.calibrate(reference)
    count = _ALONE.get(reference.device, _ALONE_HERE)
    return _middle(reference)([side.take() for _ in range(count)])


def compare(
    bench: Bench,
    reference: Bench,
    draw: Callable[[], Call],
    check: Callable[[Piece], None],
    repeats: int,
    *,
    alone: float = math.inf,
) -> Comparison:
    """Time a function and a reference in turn; see the module.

    Args:
        bench: runs the function.
        reference: runs the reference; from `in_worker`.
        draw: returns a call, always of the same shapes and types.
        check: raises CandidateOutputError if a piece is wrong; pieces of each batch are checked.
        repeats: rounds of two batches of the function with one of the reference in between.
        alone: the reference's time by `time_alone`. In turn with the candidate it counts for little
            more at most, because the candidate could leave work running that slows it.

    Raises:
        CandidateOutputError: a result is wrong, or was not there in time.
    """
    ours = _Side(reference, draw, _trust)
    ours.calibrate(reference)
    for _ in range(_TRIES):
        theirs = _Side(bench, draw, check)
        theirs.calibrate(reference)
        ones, others, mine = [], [], []
        for _ in range(repeats):
            ones.append(theirs.take())
            mine.append(ours.take())
            others.append(theirs.take())
        if theirs.was_long_enough(min(ones + others)):
            return _comparison(ones, others, mine, theirs, _SLACK * alone)
    raise CandidateOutputError(
        "its calls took much longer in calibration than when they were timed"
    )


def _comparison(
    ones: Sequence[float],
    others: Sequence[float],
    ours: Sequence[float],
    theirs: _Side,
    longest: float,
) -> Comparison:
    middle, both = _middle(theirs.bench), [*ones, *others]
    low, high = interval(both)
    return Comparison(
        seconds=statistics.median(both),
        low=low,
        high=high,
        reference=statistics.median(ours),
        ratio=2 * min(middle(ours), longest) / (middle(ones) + middle(others)),
        noise=abs(middle(ones) / middle(others) - 1),
        calls=theirs.calls,
    )


def _middle(bench: Bench) -> Callable[[Sequence[float]], float]:
    # On the processor other work only adds time; the clocks of a GPU vary both ways.
    return min if bench.device == "cpu" else statistics.median


class _Side:
    """Batches of one of the two that are compared.

    Args:
        bench: runs its function.
        draw: returns a call.
        check: verifies its output, unless it is trusted.
    """

    def __init__(
        self, bench: Bench, draw: Callable[[], Call], check: Callable[[Piece], None]
    ) -> None:
        self.bench = bench
        self.calls = 1  # of a batch
        self._draw = draw
        self._check = check
        self._go = self._around = 0.0  # seconds that are subtracted
        self._here = math.inf  # seconds of the other two parts in this process

    def calibrate(self, trusted: Bench) -> None:
        """Determine the calls of a batch, and the time of a null batch.

        Args:
            trusted: a bench of this process, whose null batch is not slowed on purpose.
        """
        wanted, most = self._wanted, self._most
        self.bench.cycle(self._batch())  # warms it up
        while self.calls < most:
            took = self.bench.cycle(self._batch()).go
            if took >= wanted:
                break
            self.calls = more_calls(self.calls, took, wanted, most)
        if not self.bench.is_trusted:
            # The candidate could slow its null batch; messages take no longer than this.
            go, self._around = self._nothing(self.bench)
            self._go = min(go, _WAYS)
            self._here = self._nothing(trusted)[1]
        self.take()  # the first of its kind

    def take(self) -> float:
        """Time a batch and verify its results; return the seconds of a call."""
        batch = self._batch()
        if self.bench.is_trusted:
            return self.bench.cycle(batch).go / self.calls
        key = self.bench.secret()
        cycle = self.bench.cycle(batch, key=key)
        for piece in self.bench.pieces(batch, cycle, key, _OPENED):
            _judge(piece, self._check)
        go = less_null(cycle.go, self._go)
        # A batch may be short for lack of room; then less is subtracted.
        more = min((_SLACK - 1) * self._here + _WAYS, _AROUND_SHARE * cycle.go)
        forgiven = min(self._around, self._here + more)
        return float(go + max(0.0, cycle.around - forgiven)) / self.calls

    def was_long_enough(self, seconds: float) -> bool:
        """Were the batches still too long to hide in the subtracted time, as in calibration?

        Args:
            seconds: the minimum of a call.
        """
        return self.calls == self._most or self.calls * seconds > self._wanted / 4

    @property
    def _wanted(self) -> float:
        wanted = _BATCH.get(self.bench.device, _BATCH_HERE)
        return wanted / 2 if self.bench.is_trusted else wanted  # it has no messages to hide work in

    @cached_property
    def _most(self) -> int:
        call = self._draw()
        arrays = [*((one.shape, one.dtype) for one in call.inputs), (call.shape, call.dtype)]
        size = int(sum(map(guest.segments_of, arrays)) * guest.SEGMENT * 8)
        return max(1, min(MOST_CALLS, _ROOM.get(self.bench.device, _ROOM_HERE) // size))

    def _batch(self) -> list[Call]:
        return [self._draw() for _ in range(self.calls)]

    def _nothing(self, bench: Bench) -> tuple[float, float]:
        # The first one touches fresh memory.
        nulls = [bench.cycle(self._batch(), is_null=True) for _ in range(_NULLS)][1:]
        return min(null.go for null in nulls), max(null.around for null in nulls)


def _trust(_piece: Piece) -> None:
    """Accept it."""


def _judge(piece: Piece, check: Callable[[Piece], None]) -> None:
    if not np.isfinite(piece.values).all():
        raise CandidateOutputError(
            f"the output of shape {piece.call.shape} has entries that are not finite or were not "
            "written"
        )
    check(piece)
