"""The settings that the host sends a runner when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox import machine

#: Threads that a candidate may have for each of its processes; waiting ones cost next to nothing.
THREADS = 8
MOST_FILES = 8192  # in a scratch directory


@dataclass(frozen=True)
class Terms:
    """The terms on which every candidate of one runner lives.

    Attributes:
        tier: "A", "B", "C" or "docker"; see `cells`.
        path: `sys.path` of the candidates: the standard library and installed packages.
        visible: absolute paths of the host that candidates may read; in tiers A and B they cannot
            reach any others.
        hidden: absolute paths below those that they may not see.
        devices: GPUs that candidates may use. With one the address space has no limit, because
            drivers reserve more than any machine has.
        preload: modules imported once, before the first fork.
        memory: MiB that all its processes together may have in memory, in addition to the preload.
            Reserved address space does not count.
        processes: most processes of one candidate; of threads, THREADS times as many.
        scratch: MiB of its scratch directory.
        network: may it reach the network?
        result_bytes: most bytes of one answer.
        decoy: the value of the decoy key in candidates' environment.
        base: files that lie beside those of every program.
        guest: the evaluator's own modules, file name -> source.
    """

    tier: str
    path: list[str]
    visible: list[str]
    hidden: list[str]
    devices: list[str]
    preload: list[str]
    memory: int
    processes: int
    scratch: int
    network: bool
    result_bytes: int
    decoy: str
    base: dict[str, bytes]
    guest: dict[str, bytes]

    @classmethod
    def read(cls, header: dict[str, Any], value: Any) -> Terms:
        """Make them from the host's first frame: a header, and files as its value.

        A host that cannot know the paths of this machine sends the other visible paths and the
        names of hidden modules.
        """
        if "path" not in header:
            path = machine.python_path()
            seen = machine.visible([*path, *header["shown"]])
            unseen = machine.hidden(path, header["hidden_modules"])
            there = {"path": path, "visible": seen, "hidden": unseen, "devices": machine.devices()}
            header = {**header, **there}
        etc = machine.etc(network=header["network"])
        header = {**header, "visible": [*header["visible"], *etc]}
        header["hidden"] = [*header["hidden"], *machine.named()]
        fields = {name: header[name] for name in cls.__dataclass_fields__ if name in header}
        return cls(**fields, base=value["base"], guest=value["guest"])
