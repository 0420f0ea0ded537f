"""The settings of a task's sandbox."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class SandboxSettings:
    """The `[sandbox]` section of a task, whatever the backend.

    Attributes:
        preload: modules that the runner imports once, so that no candidate waits for them.
        memory: MiB that all processes of a candidate may have in memory, beyond what the preload
            takes.
        processes: most processes of one candidate; of threads, eight times as many.
        network: may candidates reach the network?
        visible: absolute paths of the host that candidates may read, and start programs from,
            besides Python, its packages and the distribution's programs.
        result_bytes: most bytes of one value that a candidate returns.
        require: weakest tier that will do: "A", "B" or "" for any that is safe.
        image: the container image of the docker backend.
        gpus: numbers of this host's GPUs that its candidates may use.
        allow_unisolated: accept tier C, which stops accidents and no attack.
    """

    preload: tuple[str, ...] = ()
    memory: int = 1024  # MiB
    processes: int = 64
    network: bool = False
    visible: tuple[str, ...] = ()
    result_bytes: int = 16 * MIB
    require: str = ""
    allow_unisolated: bool = False
    image: str = ""
    gpus: tuple[int, ...] = ()
