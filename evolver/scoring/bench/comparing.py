"""Verify a function, and time it beside a reference."""

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
_BATCH_HERE = 0.01  # on the processor, where nothing has to be launched
_ROOM = {"cuda": 1 << 32}  # bytes of inputs and outputs of a batch
_ROOM_HERE = 1 << 26
_NULLS = 3  # cycles of nothing
_SLACK = 1.1  # as many times what something takes here, or alone, it may take there, or in turn
_WAYS = 5e-4  # seconds for the way of messages to the candidate's process and back
_AROUND_SHARE = 0.1  # of "go", that is forgiven around it at most beyond what it takes here
_TRIES = 3  # at a count of calls that makes a batch
_ALONE = {"cuda": 10}  # batches of the reference alone: a GPU slows down as it gets warm
_ALONE_HERE = 3
_OPENED = 24  # segments that are fetched of a batch


@dataclass(frozen=True)
class Comparison:
    """How long a function takes beside a reference; seconds a call.

    Attributes:
        seconds: the median over the batches.
        low: lower end of a 95 % interval for that median.
        high: its upper end.
        reference: the median of the reference.
        ratio: what the reference takes over what the function takes: medians, and on the processor
            the least, for other work only ever adds to it.
        noise: by how much of itself the function differs from itself, measured as two.
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
        """`ratio`, but no gain where it is one by no more than noise; a loss is a loss."""
        return self.ratio if self.ratio > 1 + self.noise else min(1.0, self.ratio)


def verify(
    bench: Bench, draw: Callable[[], Call], check: Callable[[Piece], None], inputs: int = 5
) -> None:
    """Verify a function on fresh inputs, before it is timed.

    Args:
        bench: where it runs.
        draw: what to call it with: other scales each time.
        check: raises CandidateOutputError where a piece is wrong.
        inputs: calls, each made twice.

    Raises:
        CandidateOutputError: a result is wrong, the same call gave two, or inputs were changed.
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
    """Time a reference while nothing else has the device: before the candidate is called at all.

    Args:
        reference: `in_worker`.
        draw: what to call it with.

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
        bench: where the function runs.
        reference: where the reference does, `in_worker`.
        draw: what to call them with: always of the same shapes and types.
        check: raises CandidateOutputError where a piece is wrong; pieces of each batch are checked.
        repeats: of one batch of the reference between two of the function.
        alone: what `time_alone` returns for the reference; little more than that is believed in
            turn with a candidate, which could leave something running that slows it.

    Raises:
        CandidateOutputError: a result is wrong, or was not there when it had to be.
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
        "its calls took much longer when they were counted off than when they were timed"
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
    # On the processor other work only ever adds to what is taken; a GPU's clocks go both ways.
    return min if bench.device == "cpu" else statistics.median


class _Side:
    """Batches of one of the two that are compared.

    Args:
        bench: where its function runs.
        draw: what to call it with.
        check: verifies what it writes, where it is not trusted.
    """

    def __init__(
        self, bench: Bench, draw: Callable[[], Call], check: Callable[[Piece], None]
    ) -> None:
        self.bench = bench
        self.calls = 1  # of a batch
        self._draw = draw
        self._check = check
        self._go = self._around = 0.0  # seconds that are forgiven
        self._here = math.inf  # that what is around takes in this process

    def calibrate(self, trusted: Bench) -> None:
        """Find out how many calls make a batch, and what a batch of nothing takes.

        Args:
            trusted: a bench of this process, where a batch of nothing takes as long as it takes.
        """
        wanted, most = self._wanted, self._most
        self.bench.cycle(self._batch())  # warms it up
        while self.calls < most:
            took = self.bench.cycle(self._batch()).go
            if took >= wanted:
                break
            self.calls = more_calls(self.calls, took, wanted, most)
        if not self.bench.is_trusted:
            # Theirs could be made to take long, and no way takes longer than so.
            go, self._around = self._nothing(self.bench)
            self._go = min(go, _WAYS)
            self._here = self._nothing(trusted)[1]
        self.take()  # the first of its kind

    def take(self) -> float:
        """Time a batch; return the seconds of a call, its results verified."""
        batch = self._batch()
        if self.bench.is_trusted:
            return self.bench.cycle(batch).go / self.calls
        key = self.bench.secret()
        cycle = self.bench.cycle(batch, key=key)
        for piece in self.bench.pieces(batch, cycle, key, _OPENED):
            _judge(piece, self._check)
        go = less_null(cycle.go, self._go)
        # A batch may be short, where there is no room for more calls: so is what is forgiven then.
        more = min((_SLACK - 1) * self._here + _WAYS, _AROUND_SHARE * cycle.go)
        forgiven = min(self._around, self._here + more)
        return float(go + max(0.0, cycle.around - forgiven)) / self.calls

    def was_long_enough(self, seconds: float) -> bool:
        """Were batches too long to be hidden in what is forgiven, as they were at first?

        Args:
            seconds: the least that a call took.
        """
        return self.calls == self._most or self.calls * seconds > self._wanted / 4

    @property
    def _wanted(self) -> float:
        wanted = _BATCH.get(self.bench.device, _BATCH_HERE)
        return wanted / 2 if self.bench.is_trusted else wanted  # nothing hides in its messages

    @cached_property
    def _most(self) -> int:
        call = self._draw()
        arrays = [*((one.shape, one.dtype) for one in call.inputs), (call.shape, call.dtype)]
        size = int(sum(map(guest.segments_of, arrays)) * guest.SEGMENT * 8)
        return max(1, min(MOST_CALLS, _ROOM.get(self.bench.device, _ROOM_HERE) // size))

    def _batch(self) -> list[Call]:
        return [self._draw() for _ in range(self.calls)]

    def _nothing(self, bench: Bench) -> tuple[float, float]:
        # Memory is fresh at first.
        nulls = [bench.cycle(self._batch(), is_null=True) for _ in range(_NULLS)][1:]
        return min(null.go for null in nulls), max(null.around for null in nulls)


def _trust(_piece: Piece) -> None:
    """Find it right."""


def _judge(piece: Piece, check: Callable[[Piece], None]) -> None:
    if not np.isfinite(piece.values).all():
        raise CandidateOutputError(
            f"the output of shape {piece.call.shape} has entries that are not finite, or that were "
            "not written"
        )
    check(piece)
