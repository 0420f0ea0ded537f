"""The codec of the sandbox's channel: what is no value is an error, whatever it is."""

from __future__ import annotations

import json
import math
import os
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evolver.sandboxes.wire import (
    Frames,
    Outbox,
    UnsupportedValueError,
    WireError,
    decode,
    encode,
    frame,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def over_the_wire(value: Any, limit: int = 1 << 24) -> Any:
    tree, buffers = encode(value)
    frames = Frames(limit)
    frames.feed(b"".join(frame({"value": tree}, *buffers)))
    message = frames.take()
    assert message is not None
    return decode(message[0]["value"], message[1])


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**200), 10**5000, "x" * 10_000, "\ud800" * 5000, "\ud800", b"", {"t": "int"}, ()],
    ids=lambda value: type(value).__name__,
)
def test_awkward_values_come_back(value: Any) -> None:
    back = over_the_wire(value)
    assert type(back) is type(value)
    assert back == value


def test_what_is_not_finite_comes_back() -> None:
    back = over_the_wire([math.inf, -math.inf, math.nan])
    assert back[:2] == [math.inf, -math.inf]
    assert math.isnan(back[2])


def test_numpys_scalars_become_pythons() -> None:
    scalars = [np.float32(0.5), np.int8(-1), np.bool_(True), np.str_("x")]
    back = over_the_wire(scalars)
    assert back == [0.5, -1, True, "x"]
    assert [type(one) for one in back] == [float, int, bool, str]


@pytest.mark.parametrize(
    "array",
    [
        np.array([object()]),
        np.array(["text"]),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.zeros(3, dtype=[("a", "f8")]),
        np.zeros(2, dtype=np.longdouble),
    ],
    ids=lambda array: str(array.dtype),
)
def test_only_arrays_of_plain_numbers_travel(array: Any) -> None:
    with pytest.raises(UnsupportedValueError, match="dtype"):
        encode(array)


@given(json_values, st.binary(max_size=40))
@example({"t": "array", "n": 8, "d": "|O8", "s": [1]}, b"12345678")
@example({"t": "array", "n": 8, "d": "<f8", "s": [2]}, b"12345678")
@example({"t": "array", "n": 8, "d": "<f8", "s": [-1]}, b"12345678")
@example({"t": "array", "n": 0, "d": "<f8", "s": [0, 2**39, 2**39]}, b"")
@example({"t": "array", "n": 8, "d": "<f8", "s": [True]}, b"12345678")
@example({"t": "tensor", "n": 8, "d": "float64", "s": [2]}, b"12345678")
@example({"t": "tensor", "n": 8, "d": "qint8", "s": [8]}, b"12345678")
@example({"t": "tensor", "n": 8, "d": "float64", "s": [1]}, b"12345678")
@example({"t": "bytes", "n": -1}, b"")
@example({"t": "bytes", "n": 9}, b"12345678")
@example({"t": "str", "n": 1}, b"\xff")
@example({"t": "int", "v": "0x" + "z"}, b"")
@example({"t": "pickle", "n": 1}, b".")
@example([[]], b"more")
def test_anything_else_is_refused_or_a_plain_value(tree: Any, body: bytes) -> None:
    try:
        value = decode(tree, body)
    except WireError:
        return
    encode(value)  # so it is a value


@given(st.lists(st.tuples(st.binary(max_size=30), st.integers(0, 9)), max_size=5), st.data())
def test_frames_do_not_depend_on_how_they_are_cut(
    sent: list[tuple[bytes, int]], data: st.DataObject
) -> None:
    stream = b"".join(piece for body, number in sent for piece in frame({"number": number}, body))
    frames, received = Frames(1000), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        frames.feed(stream[:size])
        stream = stream[size:]
        while (message := frames.take()) is not None:
            received.append((message[1], message[0]["number"]))
    assert received == sent


def test_what_a_descriptor_does_not_take_waits_in_order() -> None:
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    bodies = [b"small", bytes(range(256)) * 1000, b"", b"x" * 200_000]
    outbox, frames, received = Outbox(sink), Frames(1 << 20), []
    for body in bodies:
        outbox.add(frame({"size": len(body)}, body))
    outbox.flush()
    assert outbox.size > 300_000  # a pipe holds less
    while len(received) < len(bodies):
        while (message := frames.take()) is not None:
            assert message[0] == {"size": len(message[1])}
            received.append(bytes(message[1]))
        outbox.flush()
        if outbox.size or len(received) < len(bodies):
            assert frames.read(source)
    assert received == bodies
    os.close(source)
    outbox.add([b"more"])
    with pytest.raises(BrokenPipeError):
        outbox.flush()
    os.close(sink)


def test_a_large_array_is_not_copied() -> None:
    array = np.arange(100_000.0)
    tree, (content,) = encode(array)
    assert np.shares_memory(np.frombuffer(content), array)
    body = bytearray(content)
    back = decode(tree, body)
    assert np.shares_memory(np.frombuffer(body), back)
    tree, buffers = encode([np.arange(3.0), b"x" * 1000])
    assert decode(tree, bytearray(b"".join(buffers)))[0].base is None  # of a message, a small part


@given(st.binary(max_size=200))
def test_garbage_is_no_frame(stream: bytes) -> None:
    frames = Frames(100)
    frames.feed(stream)
    try:
        while (message := frames.take()) is not None:
            assert type(message[0]) is dict
    except WireError:
        pass


@pytest.mark.parametrize(
    "stream",
    [
        struct.pack(">IQ", 2**32 - 1, 2**64 - 1),
        struct.pack(">IQ", 2, 99) + b"{}",
        struct.pack(">IQ", 2, 0) + b"[]",
        struct.pack(">IQ", 90, 0) + b"[" * 90,
        struct.pack(">IQ", 1, 0) + b"\xff",
    ],
)
def test_a_frame_is_refused_before_it_is_believed(stream: bytes) -> None:
    frames = Frames(100)
    frames.feed(stream)
    with pytest.raises(WireError):
        frames.take()


def test_many_small_items_are_refused_before_they_are_parsed() -> None:
    content = json.dumps([0] * 1_100_000).encode()
    frames = Frames(1 << 24)
    frames.feed(struct.pack(">IQ", len(content), 0) + content)
    with pytest.raises(WireError, match="items"):
        frames.take()
