"""The stream of an attached container, taken apart."""

from __future__ import annotations

import socket
import struct
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from evolver.sandboxes import wire
from evolver.sandboxes.docker import Stream


def wrapped(source: int, content: bytes) -> bytes:
    return struct.pack(">B3xI", source, len(content)) + content


@settings(deadline=None)
@given(
    bodies=st.lists(st.binary(max_size=40), min_size=1, max_size=5),
    complaints=st.lists(st.binary(max_size=10), max_size=5),
    cuts=st.lists(st.integers(1, 30), min_size=1, max_size=20),
)
def test_frames_come_out_whole_however_they_are_cut(
    bodies: list[bytes], complaints: list[bytes], cuts: list[int]
) -> None:
    """By the engine, which wraps what it reads, and by the socket, which cuts what is wrapped."""
    output = b"".join(
        b"".join(map(bytes, wire.frame({"op": "data"}, body)))  # one frame
        for body in bodies
    )
    stream, queue, number = b"", list(complaints), 0
    while output:
        size = cuts[number % len(cuts)]
        while queue and (number % 2 or size >= len(output)):  # none behind the last piece
            stream += wrapped(2, queue.pop(0))
        stream += wrapped(1, output[:size])
        output, number = output[size:], number + 1
    theirs, ours = socket.socketpair()
    ours.setblocking(False)
    channel = Stream(ours, ours.close)
    deadline = time.monotonic() + 10
    with theirs:
        received = []
        position = 0
        while len(received) < len(bodies):
            size = cuts[position % len(cuts)]
            theirs.sendall(stream[:size])
            stream, position = stream[size:], position + 1
            try:
                while len(received) < len(bodies):
                    received.append(bytes(channel.receive(time.monotonic())[1]))
            except TimeoutError:
                assert time.monotonic() < deadline
        assert received == bodies
        assert channel.errors == b"".join(complaints)
    channel.close()
