"""The image for tests of the docker backend, and whether there is an engine to make it."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from evolver.errors import SandboxError
from evolver.sandboxes import daemon, image

IMAGE = f"{image.default_tag()}-tests"  # with some commands, which candidates try
_COMMANDS = ("sh", "cat", "env", "rm")


@cache
def missing() -> str:
    """Return why docker cannot be tested here; CI, which is to have it, fails instead."""
    try:
        daemon.connect().close()
    except SandboxError as error:
        if os.environ.get("EVOLVER_REQUIRE_DOCKER"):
            raise
        return str(error)
    return ""


@contextmanager
def engine() -> Iterator[Any]:
    """Lend a client of the engine, or skip."""
    if missing():
        pytest.skip(missing())
    client = daemon.connect()
    try:
        yield client
    finally:
        client.close()


@cache
def provide(tag: str = IMAGE) -> str:
    """Return the tag of an image that is there; of several test processes the first makes it."""
    lock = Path(tempfile.gettempdir()) / "evolver-test-image.lock"
    with engine() as client, lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not client.images.list(tag):
            programs = _COMMANDS if tag == IMAGE else ()
            image.build_from_host(client, tag, ["numpy"], lambda _line: None, programs=programs)
    return tag
