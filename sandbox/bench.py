"""Batches of calls on a device: inputs drawn there from a secret, results bound by digests.

Both sides run this file: the evaluator's process, where it times the reference and is trusted, and,
as guest code, the candidate's process, where it is not. `evolver.scoring.bench` checks the answers
of the second and has the clock. It needs numpy, and torch on a GPU.

A call's inputs are slices of one pool of random numbers, each scaled separately. So making one
costs a copy, and the other side can compute any entry alone, without a GPU. After a batch, each few
thousand bytes of the results are hashed to one number; finding other results with the same number
costs more than computing them. Results that are fetched later have to fit that number. This happens
around every timed batch, so it is a few passes over memory only.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

SEGMENT = 1024  # words of 8 bytes that share one digest; a power of two
_CHUNK = 1 << 22  # entries of the pool that are drawn at once
_ROWS = 1 << 14  # segments that are digested at once
# Odd multipliers, of 64 bits as the signed words that numpy and torch have.
_ODD = (-0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)
ITEM = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}  # bytes

Layout = tuple[Sequence[int], str]  # shape and type of an array
#: And a factor and an offset for numbers of the pool, and the first of those.
Drawn = tuple[Sequence[int], str, float, float, int]


class Processor:
    """numpy's arrays; no work is asynchronous."""

    name = "cpu"
    library: Any = np
    cache = 1 << 24  # bytes written to flush the caches

    def numbers(self, start: int, stop: int) -> Any:
        """Return the integers from start to stop as words."""
        return np.arange(start, stop, dtype=np.int64)

    def words(self, count: int) -> Any:
        """Return uninitialised words of memory."""
        return np.empty(count, np.int64)

    def floats(self, words: Any, dtype: str) -> Any:
        """Return the same memory as floats."""
        return words.view(dtype)

    def cast(self, values: Any, dtype: str) -> Any:
        """Return floats in another precision, rounded to nearest."""
        return values.astype(dtype, copy=False)

    def host(self, values: Any) -> Any:
        """Return words or floats as an array of numpy."""
        return values

    def synchronise(self) -> None:
        """Wait until all that was started is done, in every stream."""

    def describe(self) -> dict[str, Any]:
        """Return properties of the device."""
        return {}

    def flush(self) -> None:
        """Drive the inputs out of the caches."""
        self._room.fill(0)

    @cached_property
    def _room(self) -> Any:
        return np.ones(self.cache // 8, np.int64)


class Graphics(Processor):
    """torch's tensors; on a GPU, or on the processor so that the code can be tried without one."""

    cache = 1 << 28

    def __init__(self, name: str) -> None:
        self.name = name
        self.torch = self.library = importlib.import_module("torch")

    def numbers(self, start: int, stop: int) -> Any:
        """Return the integers from start to stop as words."""
        return self.torch.arange(start, stop, dtype=self.torch.int64, device=self.name)

    def words(self, count: int) -> Any:
        """Return uninitialised words of memory."""
        return self.torch.empty(count, dtype=self.torch.int64, device=self.name)

    def floats(self, words: Any, dtype: str) -> Any:
        """Return the same memory as floats."""
        return words.view(getattr(self.torch, dtype))

    def cast(self, values: Any, dtype: str) -> Any:
        """Return floats in another precision, rounded to nearest."""
        return values.to(getattr(self.torch, dtype))

    def host(self, values: Any) -> Any:
        """Return words or floats as an array of numpy."""
        return values.cpu().numpy()

    def synchronise(self) -> None:
        """Wait until all that was started is done, in every stream."""
        if self.name == "cuda":
            self.torch.cuda.synchronize()

    def describe(self) -> dict[str, Any]:
        """Return the name of the GPU, its memory, and the versions that drive it."""
        if self.name != "cuda":
            return {}
        found = self.torch.cuda.get_device_properties(0)
        return {
            "name": found.name,
            "memory": int(found.total_memory),
            "torch": str(self.torch.__version__),
            "cuda": str(self.torch.version.cuda),
        }

    def flush(self) -> None:
        """Drive the inputs out of the caches."""
        self._room.fill_(0)

    @cached_property
    def _room(self) -> Any:
        return self.words(self.cache // 8)


#: Name -> constructor. "torch" runs the code for a GPU on the processor.
DEVICES: dict[str, Callable[[], Processor]] = {
    "cpu": Processor,
    "cuda": lambda: Graphics("cuda"),
    "torch": lambda: Graphics("cpu"),
}


# --- random numbers and digests: the same bits by numpy and torch ---------------------------------


def mix(words: Any) -> Any:
    """Scramble words in place, by a bijection of each; return them.

    By Stafford 2011 (https://zimbry.blogspot.com/2011/09/better-bit-mixing-improving-on.html),
    with arithmetic shifts, which keep it a bijection.
    """
    words ^= words >> 30
    words *= _ODD[1]
    words ^= words >> 27
    words *= _ODD[2]
    words ^= words >> 31
    return words


def pool(device: Processor, seed: int, numbers: Any, dtype: str) -> Any:
    """Return the numbers of a pool at these places: in [-1, 1), with at most 24 bits."""
    words = mix(mix(numbers * _ODD[0] + seed) ^ seed)
    numerators = device.cast((words >> 40) & 0xFFFFFF, "float32")
    return device.cast(numerators * 2.0**-23 - 1.0, dtype)


def digest(words: Any, key: int) -> Any:
    """Fold rows of SEGMENT words into one word each, along a tree; the words are kept."""
    while words.shape[1] > 1:
        folded = words[:, ::2] * _ODD[0]
        folded += words[:, 1::2]
        folded += key
        words = mix(folded)
    return words[:, 0]


def segments_of(layout: Layout) -> int:
    """Return how many segments hold an array."""
    shape, dtype = layout
    return -(-int(np.prod(shape, dtype=np.int64)) * ITEM[dtype] // (8 * SEGMENT))


# --- batches --------------------------------------------------------------------------------------


class _Array:
    """A contiguous array in whole segments of reusable memory."""

    def __init__(self, device: Processor, layout: Layout, words: Any = None) -> None:
        shape, dtype = layout
        self.words = device.words(segments_of(layout) * SEGMENT) if words is None else words
        self.size = int(np.prod(shape, dtype=np.int64))
        self.flat = device.floats(self.words, dtype)[: self.size]
        self.values = self.flat.reshape(tuple(shape))


class Bench:
    """The batches of one function.

    Args:
        device: its name in `DEVICES`.
        seed: of the pool.
        numbers: that the pool has.
    """

    def __init__(self, device: str, seed: int, numbers: int) -> None:
        self.device = DEVICES[device]()
        self.seed = seed
        self._numbers = numbers
        self._pools: dict[str, Any] = {}  # by type
        self._layouts: Any = None
        self._written: Any = None  # the words of all outputs
        self._arrays: list[tuple[list[_Array], _Array]] = []
        self._calls: list[Sequence[Drawn]] = []
        self._function: Callable[..., Any] | None = None

    def stage(self, function: Any, calls: Sequence[Sequence[Drawn]], output: Layout) -> None:
        """Draw the inputs of a batch, fill its outputs with NaN, flush the caches.

        Args:
            function: it is called with the inputs and an output to fill: a function of the
                candidate by name, "module:name", or the function itself; None: do nothing.
            calls: the inputs of each call.
            output: of every call.
        """
        self._function = _resolve(function) if function is not None else None
        layouts = ([[(tuple(one[0]), one[1]) for one in call] for call in calls], output)
        if layouts != self._layouts:
            self._arrays.clear()
            self._layouts = layouts
            size = segments_of(output) * SEGMENT
            self._written = self.device.words(len(calls) * size)  # of all calls, in order
            self._arrays = [
                (
                    [_Array(self.device, layout) for layout in inputs],
                    _Array(self.device, output, self._written[call * size : (call + 1) * size]),
                )
                for call, inputs in enumerate(layouts[0])
            ]
        self._calls = list(calls)
        for call, (inputs, _) in zip(self._calls, self._arrays, strict=True):
            for one, array in zip(call, inputs, strict=True):
                self._draw(one, array)
        self._written[:] = -1  # a NaN in any of the types
        self.device.flush()
        self.device.synchronise()

    def go(self) -> None:
        """Make the calls, and wait for the device."""
        if self._function is not None:
            for inputs, result in self._arrays:
                self._function(*(array.values for array in inputs), result.values)
        self.device.synchronise()

    def digests(self, key: int) -> Any:
        """Return a digest of each segment of each output, calls x segments."""
        rows = self._written.reshape(-1, SEGMENT)
        parts = [digest(rows[i : i + _ROWS], key) for i in range(0, len(rows), _ROWS)]
        found = np.concatenate([self.device.host(part) for part in parts])
        return found.reshape(len(self._arrays), -1)

    def segments(self, places: Sequence[tuple[int, int]]) -> Any:
        """Return the words of segments of outputs, places x SEGMENT; a place: call, segment."""
        segments = self._written.reshape(len(self._arrays), -1, SEGMENT)
        rows = [segments[call, one] for call, one in places]
        return np.stack([self.device.host(row) for row in rows])

    def is_unchanged(self, call: int) -> bool:
        """Are the inputs of a call unchanged, bit for bit?"""
        for one, array in zip(self._calls[call], self._arrays[call][0], strict=True):
            fresh = _Array(self.device, (one[0], one[1]))
            fresh.words[:] = array.words  # the bytes behind them do not count
            self._draw(one, fresh)
            if not bool((fresh.words == array.words).all()):
                return False
        return True

    def _draw(self, one: Drawn, array: _Array) -> None:
        _, dtype, factor, offset, first = one
        if dtype not in self._pools:
            self._pools[dtype] = self._make_pool(dtype)
        numbers = self._pools[dtype][first : first + array.size]
        self.device.library.multiply(numbers, factor, out=array.flat)
        if offset:
            array.flat += offset  # a step of its own: a fused operation would round differently

    def _make_pool(self, dtype: str) -> Any:
        count = -(-self._numbers * ITEM[dtype] // 8)
        made = self.device.floats(self.device.words(count), dtype)
        for start in range(0, self._numbers, _CHUNK):
            places = self.device.numbers(start, min(start + _CHUNK, self._numbers))
            made[start : start + len(places)] = pool(self.device, self.seed, places, dtype)
        return made


def _resolve(function: Any) -> Callable[..., Any]:
    if callable(function):
        return function  # type: ignore[no-any-return]
    module, _, name = function.rpartition(":")
    if not module:
        candidate: Any = importlib.import_module("candidate")  # from the sandbox's runner
        module = candidate.path.removesuffix(".py").replace("/", ".")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


# --- by name, from the other side of a sandbox ----------------------------------------------------

_benches: list[Bench] = []  # at most one


def start(device: str, seed: int, numbers: int) -> dict[str, Any]:
    """Make the bench; return properties of its device."""
    _benches.clear()
    _benches.append(Bench(device, seed, numbers))
    return _benches[0].device.describe()


def ask(what: str, *arguments: Any) -> Any:
    """Call a method of the bench by name."""
    return getattr(_benches[0], what)(*arguments)
