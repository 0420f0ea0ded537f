"""Asking an engine that is not there: one sentence, and no socket is left open."""

from __future__ import annotations

import gc
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evolver.errors import SandboxError
from evolver.sandboxes import daemon


@contextmanager
def nothing(place: Path) -> Iterator[str]:
    yield f"unix://{place}"


@contextmanager
def plain_file(place: Path) -> Iterator[str]:
    place.write_text("")
    yield f"unix://{place}"


@contextmanager
def left_socket(place: Path) -> Iterator[str]:
    """A socket whose server is gone."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
    yield f"unix://{place}"


@contextmanager
def hangs_up(place: Path) -> Iterator[str]:
    """A server that closes each connection, as a proxy without an engine does."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()
        server.settimeout(0.1)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    server.accept()[0].close()
                except TimeoutError:
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"unix://{place}"
        finally:
            done.set()
            thread.join()


@contextmanager
def closed_port(place: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield f"tcp://127.0.0.1:{port}"


@contextmanager
def too_long(place: Path) -> Iterator[str]:
    yield f"unix://{place}{'x' * 200}"


@pytest.mark.parametrize(
    "engine", [nothing, plain_file, left_socket, hangs_up, closed_port, too_long]
)
def test_an_engine_that_is_not_there_leaves_no_socket_open(
    engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine(tmp_path / "s") as address, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        monkeypatch.setenv("DOCKER_HOST", address)
        with pytest.raises(SandboxError, match="no container engine answers at"):
            daemon.connect()
        gc.collect()
        gc.freeze()  # the next collection looks at what is new
    assert not [str(one.message) for one in told if one.category is ResourceWarning]
