"""Starting a runner: the command, its environment, and the source that it is sent."""

from __future__ import annotations

import functools
import json
from importlib import metadata

from evolver.bundled import bundled

#: The runner's files, in the order of their imports.
_SOURCES = ("wire", "kernel", "seccomp", "landlock", "cgroup", "files", "processes", "machine",
            "terms", "uids", "limits", "watcher", "program", "workdir", "canary", "cells",
            "namespaces", "container", "session", "zygote", "relay", "keeper",
            "runner")  # fmt: skip
#: All of a runner's environment.
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "USER": "candidate",
    "LOGNAME": "candidate",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
#: Arguments of Python; the runner's files come by its standard input.
_FLAGS = ("-s", "-S", "-B", "-P", "-c")


def command(python: str) -> list[str]:
    """Return the command that becomes a runner when it reads `sources`."""
    return [python, *_FLAGS, _source("boot")]


@functools.cache
def sources() -> bytes:
    """Return the first input of the command: the length, and the runner's files."""
    modules = json.dumps([[name, _source(name)] for name in _SOURCES]).encode()
    return len(modules).to_bytes(8, "big") + modules


@functools.cache
def hidden_modules() -> list[str]:
    """Return the names of evolver and of installed evaluators, which candidates may not read."""
    found = metadata.entry_points(group="evolver.evaluators")
    return sorted({"evolver", *(entry.module.partition(".")[0] for entry in found)})


def _source(name: str) -> str:
    return (bundled("sandbox") / f"{name}.py").read_text("utf-8")
