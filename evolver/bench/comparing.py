"""Verify a function, and time it beside a reference."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evolver.bench.places import Bench, Call, Cycle, Piece
from evolver.bench.source import guest
from evolver.errors import CandidateOutputError
from evolver.sandboxes import timing

_CALLS = 1000  # of a batch at most
_BATCH = {"cuda": 0.02}  # seconds that the calls of a batch take at least
_BATCH_HERE = 0.02  # on the processor, where nothing has to be launched
_ROOM = {"cuda": 1 << 32}  # bytes of inputs and outputs of a batch
_ROOM_HERE = 1 << 26
_NULLS = 3  # cycles of nothing
_NULL_SHARE = 0.05  # of "go", that is forgiven for the way to the candidate's process and back
_SLACK = 1.1  # as many times what staging and binding take here they may take there
_WAYS = 5e-4  # seconds for the way of two more messages
_OPENED = 24  # segments that are fetched of a batch


@dataclass(frozen=True)
class Comparison:
    """How long a function takes beside a reference; seconds a call.

    Attributes:
        seconds: the median over the batches.
        low: lower end of a 95 % interval for that median.
        high: its upper end.
        reference: the median of the reference.
        ratio: the median of what the reference takes over what the function takes, by neighbours
            in time.
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
        """`ratio`, but 1 where it is not further from 1 than noise."""
        return 1.0 if abs(self.ratio - 1) <= self.noise else self.ratio


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


def compare(
    bench: Bench,
    reference: Bench,
    draw: Callable[[], Call],
    check: Callable[[Piece], None],
    repeats: int,
) -> Comparison:
    """Time a function and a reference in turn; see the module.

    Args:
        bench: where the function runs.
        reference: where the reference does, `here`.
        draw: what to call them with: always of the same shapes and types.
        check: raises CandidateOutputError where a piece is wrong; pieces of each batch are checked.
        repeats: of one batch of the reference between two of the function.

    Raises:
        CandidateOutputError: a result is wrong, or was not there when it had to be.
    """
    calls = _calibrate(reference, draw)
    theirs, our = _overheads(bench, reference, [draw() for _ in range(calls)])
    _timed(bench, theirs, draw, check, calls)  # the first of its kind
    ones, others, ours = [], [], []
    for _ in range(repeats):
        ones.append(_timed(bench, theirs, draw, check, calls))
        ours.append(our.cost(reference.cycle([draw() for _ in range(calls)])) / calls)
        others.append(_timed(bench, theirs, draw, check, calls))
    both = [(one + other) / 2 for one, other in zip(ones, others, strict=True)]
    low, high = timing.interval(ones + others)
    return Comparison(
        seconds=statistics.median(ones + others),
        low=low,
        high=high,
        reference=statistics.median(ours),
        ratio=statistics.median(mine / one for mine, one in zip(ours, both, strict=True)),
        noise=abs(
            statistics.median(one / other for one, other in zip(ones, others, strict=True)) - 1
        ),
        calls=calls,
    )


@dataclass(frozen=True)
class _Overhead:
    """What cycles of nothing take, and so much of it as is forgiven.

    Attributes:
        go: seconds of nothing, and of the word for it.
        around: seconds of staging and binding it.
    """

    go: float
    around: float

    def cost(self, cycle: Cycle) -> float:
        """Return the seconds that a cycle counts for."""
        go = cycle.go - min(self.go, _NULL_SHARE * cycle.go)
        return float(go + max(0.0, cycle.around - self.around))


def _overheads(
    bench: Bench, reference: Bench, calls: Sequence[Call]
) -> tuple[_Overhead, _Overhead]:
    """Return what is forgiven the function and the reference."""
    found = []
    for one in (bench, reference):
        nulls = [one.cycle(calls, is_null=True) for _ in range(_NULLS)][1:]  # memory is fresh first
        found.append(_Overhead(min(null.go for null in nulls), max(null.around for null in nulls)))
    theirs, ours = found
    # Theirs could be made to take long, so ours says how long it may.
    believed = min(theirs.around, _SLACK * ours.around + _WAYS)
    return _Overhead(theirs.go, believed), ours


def _timed(
    bench: Bench,
    overhead: _Overhead,
    draw: Callable[[], Call],
    check: Callable[[Piece], None],
    calls: int,
) -> float:
    """Time a batch of the function; return the seconds of a call, its results verified."""
    batch, key = [draw() for _ in range(calls)], bench.secret()
    cycle = bench.cycle(batch, key=key)
    for piece in bench.pieces(batch, cycle, key, _OPENED):
        _judge(piece, check)
    return overhead.cost(cycle) / calls


def _calibrate(reference: Bench, draw: Callable[[], Call]) -> int:
    """Return how many calls make a batch that is long enough, by what the reference takes.

    The function itself could seem slow now, so that less than a batch were enough to hide in.
    """
    device = reference.device
    call = draw()
    size = sum(_bytes(one.shape, one.dtype) for one in call.inputs) + _bytes(call.shape, call.dtype)
    most = max(1, min(_CALLS, _ROOM.get(device, _ROOM_HERE) // size))
    wanted, calls = _BATCH.get(device, _BATCH_HERE), 1
    reference.cycle([call])  # warms it up
    while True:
        took = min(reference.cycle([draw() for _ in range(calls)]).go for _ in range(2))
        if took >= wanted or calls == most:
            return calls
        calls = min(most, max(2 * calls, min(math.ceil(1.2 * calls * wanted / took), 16 * calls)))


def _judge(piece: Piece, check: Callable[[Piece], None]) -> None:
    if not np.isfinite(piece.values).all():
        raise CandidateOutputError(
            f"the output of shape {piece.call.shape} has entries that are not finite, or that were "
            "not written"
        )
    check(piece)


def _bytes(shape: Sequence[int], dtype: str) -> int:
    return int(guest.segments_of((shape, dtype)) * guest.SEGMENT * 8)
