"""The image for tests of the docker backend, and whether there is an engine to make it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
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
_HEADERS = ("stdio", "stdlib", "string", "math", "unistd", "stdint")


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
            programs = (*_COMMANDS, *compiler()) if tag == IMAGE else ()
            image.build_from_host(client, tag, ["numpy"], lambda _line: None, programs=programs)
    return tag


def compiler() -> list[str]:
    """Return what a C compiler of this host needs for a small program, where there is one."""
    if not shutil.which("gcc"):
        return []

    def ask(*words: str, stdin: str = "") -> str:
        return subprocess.run(
            ["gcc", *words], input=stdin, capture_output=True, text=True, check=True
        ).stdout.strip()

    objects = ("crt1.o", "Scrt1.o", "crti.o", "crtn.o", "libc.so", "libc_nonshared.a", "libm.so")
    own = Path(ask("-print-libgcc-file-name")).parent
    rule = ask(
        "-M", "-O3", "-xc", "-", stdin="".join(f"#include <{name}.h>\n" for name in _HEADERS)
    )
    headers = [word for word in rule.split() if word.startswith("/usr/include/")]
    found = [Path(ask(f"-print-file-name={name}")).resolve() for name in objects]
    # Two of these are scripts of the linker, which name the libraries proper.
    scripts = " ".join(path.read_text() for path in found if path.suffix == ".so")
    named = [word for word in scripts.split() if word[0] == "/" and Path(word).is_file()]
    return ["gcc", "as", "ld", str(own), *headers, *map(str, found), *named]
