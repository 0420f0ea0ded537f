"""Cycles of a function of arrays, in a candidate's process or in this one, and its outputs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evolver.errors import CandidateOutputError
from evolver.sandboxes.clocks import now
from evolver.scoring.bench.source import SOURCE, guest
from evolver.types import Account, Candidate

#: For an evaluator's `guest`: the file that makes the batches in the candidate's process.
GUEST: Mapping[str, bytes] = {"bench.py": SOURCE.read_bytes()}

_SEEDS = 62  # bits
_LEAST = 1 << 16  # numbers of a pool, so that it has many slices
_PROCESSOR = guest.Processor()


class Drawn(NamedTuple):
    """An input, drawn uniformly between two bounds, from a secret.

    Attributes:
        shape: of the array, whose rows lie one after the other.
        dtype: "float64", "float32", or on a GPU "float16" or "bfloat16".
        low: lower bound.
        high: upper bound.
    """

    shape: tuple[int, ...]
    dtype: str
    low: float = -1.0
    high: float = 1.0

    @property
    def scale(self) -> tuple[float, float]:
        """The factor and the offset for numbers in [-1, 1), rounded to the type."""
        factor, offset = (self.high - self.low) / 2, (self.high + self.low) / 2
        wide = np.float64 if self.dtype == "float64" else np.float32
        one, other = _rounded(np.array([factor, offset], wide), self.dtype).tolist()
        return one, other


@dataclass(frozen=True)
class Call:
    """Arguments of a function: these inputs, then an output of this shape and type."""

    inputs: tuple[Drawn, ...]
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Piece:
    """A part of the output of a call, for the evaluator to verify.

    Attributes:
        call: the call.
        first: index of the first value in the flattened output.
        values: the values, float64; NaN: not written.
    """

    call: Call
    first: int
    values: NDArray[np.float64]
    _seed: int
    _firsts: tuple[int, ...]

    def input(self, number: int, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return entries of an input of the candidate.

        Args:
            number: index of the input.
            places: indices of the entries in the flattened input, any shape.
        """
        drawn = self.call.inputs[number]
        wide = "float64" if drawn.dtype == "float64" else "float32"
        factor, offset = drawn.scale
        values = guest.pool(_PROCESSOR, self._seed, self._firsts[number] + places, wide)
        values = _rounded(_rounded(values, drawn.dtype) * np.dtype(wide).type(factor), drawn.dtype)
        return _rounded(values + np.dtype(wide).type(offset), drawn.dtype).astype(np.float64)


class Cycle(NamedTuple):
    """Times and digests of one cycle."""

    go: float  # seconds
    around: float  # seconds of stage and digests
    drawn: Sequence[Sequence[Any]]  # inputs of each call, as sent
    digests: Any


class _Part(NamedTuple):
    wall: float  # seconds
    waited: float  # seconds that threads waited for a processor
    cpu: float  # seconds of CPU time


class Bench:
    """A function on a device; made by `in_candidate` and `in_worker`.

    Args:
        ask: calls a function of `sandbox/bench.py`.
        function: see `stage` there.
        device: "cpu" or "cuda".
        rng: draws secrets.
        account: returns the kernel's accounts of the process that runs the function.
        now: the clock, in seconds.
        is_trusted: does it run in this process?
    """

    def __init__(
        self,
        ask: Callable[..., Any],
        function: Any,
        device: str,
        rng: Random,
        account: Callable[[], Account],
        now: Callable[[], float] = now,
        *,
        is_trusted: bool = False,
    ) -> None:
        self.device = device
        self.is_trusted = is_trusted
        self.about: Mapping[str, Any] = {}  # the device's properties, as reported
        self._ask = ask
        self._function = function
        self._rng = rng
        self._account = account
        self._now = now
        self._numbers = 0  # of the pool
        self._seed = 0

    def cycle(self, calls: Sequence[Call], *, is_null: bool = False, key: int = 0) -> Cycle:
        """Stage calls of one layout, make them, bind their outputs.

        Args:
            calls: the arguments of each call.
            is_null: call nothing.
            key: of the digests; 0: any, or no digests if the bench is trusted.
        """
        self._start(max(_size(one.shape) for one in calls[0].inputs))
        drawn = [[self._place(one) for one in call.inputs] for call in calls]
        return self._turn(drawn, calls[0], is_null=is_null, key=key)

    def again(self, cycle: Cycle, call: Call, key: int) -> Cycle:
        """Repeat the calls of a cycle, on the same inputs."""
        return self._turn(cycle.drawn, call, is_null=False, key=key)

    def pieces(self, calls: Sequence[Call], cycle: Cycle, key: int, wanted: int) -> Sequence[Piece]:
        """Fetch pieces of the outputs of a cycle, chosen at random now.

        Raises:
            CandidateOutputError: they do not fit the digests.
        """
        count = guest.segments_of((calls[0].shape, calls[0].dtype))
        chosen = [self._rng.randrange(len(calls)) for _ in range(wanted)]
        places = [(call, self._rng.randrange(count)) for call in chosen]
        places[-1] = (chosen[-1], count - 1)  # a missing row is often the last
        words = self._ask("segments", places)
        if not _is_words(words, (wanted, guest.SEGMENT)):
            raise CandidateOutputError("the pieces of the outputs are malformed")
        bound = cycle.digests[tuple(np.transpose(places))]
        if (guest.digest(words, key) != bound).any():
            raise CandidateOutputError("an output changed after its call had returned")
        return [
            self._piece(calls[call], cycle.drawn[call], segment, row)
            for (call, segment), row in zip(places, words, strict=True)
        ]

    def keeps_inputs(self, call: int) -> bool:
        """Does it report that the inputs of a call of the last cycle are unchanged?"""
        return self._ask("is_unchanged", call) is True

    def _turn(
        self, drawn: Sequence[Sequence[Any]], call: Call, *, is_null: bool, key: int
    ) -> Cycle:
        output = [call.shape, call.dtype]
        stage, _ = self._part("stage", None if is_null else self._function, drawn, output)
        go, _ = self._part("go")
        took = self._cost(go)
        if self.is_trusted and not is_null and not key:
            return Cycle(took, 0.0, drawn, None)
        binding, digests = self._part("digests", key or self.secret())
        if not _is_words(digests, (len(drawn), guest.segments_of(output))):
            raise CandidateOutputError("the digests of the outputs are malformed")
        if self.device == "cuda":
            return Cycle(took, stage.wall + binding.wall, drawn, digests)
        return Cycle(took, stage.cpu + binding.cpu, drawn, digests)

    def _cost(self, go: _Part) -> float:
        if self.device == "cuda":
            return go.wall
        # On the processor other work may interrupt, and more threads shall not gain anything.
        return max(go.wall - go.waited, go.cpu)

    def _part(self, what: str, *arguments: Any) -> tuple[_Part, Any]:
        before, moment = self._account(), self._now()
        answer = self._ask(what, *arguments)
        wall, after = self._now() - moment, self._account()
        return _Part(wall, after.waited - before.waited, after.cpu - before.cpu), answer

    def _start(self, largest: int) -> None:
        if self._numbers < 2 * largest:
            self._numbers = max(2 * largest, _LEAST)
            self._seed = self.secret()
            about = self._ask("start", self.device, self._seed, self._numbers)
            self.about = about if type(about) is dict else {}

    def secret(self) -> int:
        """Draw a secret seed or key."""
        return self._rng.getrandbits(_SEEDS) or 1

    def _place(self, one: Drawn) -> tuple[Any, ...]:
        first = self._rng.randrange(self._numbers - _size(one.shape))
        return one.shape, one.dtype, *one.scale, first

    def _piece(
        self, call: Call, drawn: Sequence[Any], segment: int, words: NDArray[np.int64]
    ) -> Piece:
        item = guest.ITEM[call.dtype]
        first = segment * guest.SEGMENT * 8 // item
        rest = _size(call.shape) - first
        values, behind = np.split(_floats(words, call.dtype), [rest] if rest > 0 else [0])
        if not np.isnan(behind).all():
            raise CandidateOutputError("it wrote beyond the end of its output")
        return Piece(call, first, values, self._seed, tuple(one[4] for one in drawn))


def in_candidate(candidate: Candidate, function: str, device: str) -> Bench:
    """Return a bench in a candidate's process; its evaluator's `guest` has to contain `GUEST`.

    Args:
        candidate: the candidate.
        function: its function's name, or "module:name" of another of its files or of guest code.
        device: "cpu" or "cuda".
    """

    def ask(what: str, *arguments: Any) -> Any:
        if what == "start":
            return candidate.call("bench:start", *arguments)
        return candidate.call("bench:ask", what, *arguments)

    return Bench(ask, function, device, candidate.rng, candidate.account)


def in_worker(function: Callable[..., Any], device: str, rng: Random) -> Bench:
    """Return a bench in this process, for a trusted function such as the reference.

    On the processor the CPU time of all threads counts. So its library needs to have one thread, as
    in a worker: set OMP_NUM_THREADS, OPENBLAS_NUM_THREADS and MKL_NUM_THREADS to 1 before the
    import.
    """
    made: list[Any] = []

    def ask(what: str, *arguments: Any) -> Any:
        if what == "start":
            made[:] = [guest.Bench(*arguments)]
            return made[0].device.describe()
        return getattr(made[0], what)(*arguments)

    return Bench(ask, function, device, rng, _account_here, is_trusted=True)


def _is_words(value: object, shape: tuple[int, ...]) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.int64 and value.shape == shape


def _size(shape: Sequence[int]) -> int:
    return math.prod(shape)


def _floats(words: NDArray[np.int64], dtype: str) -> NDArray[np.float64]:
    if dtype == "bfloat16":
        bits = words.view(np.uint16).astype(np.uint32) << np.uint32(16)
        return bits.view(np.float32).astype(np.float64)
    return words.view(dtype).astype(np.float64)


def _rounded(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Round to a type that numpy may not have; the result keeps the type of `values`."""
    if dtype != "bfloat16":
        return values.astype(dtype).astype(values.dtype)
    bits = values.view(np.uint32)
    bits = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
    return (bits & np.uint32(0xFFFF0000)).view(np.float32)


def _account_here() -> Account:
    return Account(time.process_time(), 0.0)
