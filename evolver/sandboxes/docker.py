"""The docker backend: a warm runner in a container that has next to nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import Any

import docker.errors
from docker.types import Ulimit

from evolver.sandboxes import daemon, runner
from evolver.sandboxes.channel import Channel
from evolver.sandboxes.settings import MIB, SandboxSettings
from evolver.sandboxes.warm import SCRATCH, WarmSandbox
from evolver.types import Files

_LABEL = "evolver"
_MOST_PRELOADED = 2048  # MiB until the runner has said what the preload takes
_SLACK = 64  # MiB for what all candidates share and for the one that waits
_INODES = 8192
_LIFE = 5000  # evaluations of one container
_ENVIRONMENT = {name: value for name, value in runner.ENVIRONMENT.items() if name != "PATH"}


class Stream(Channel):
    """A channel over an engine's attached stream, which marks pieces of output by their source.

    Each has a header of eight bytes: 1 for stdout or 2 for stderr, three zeros, the length.
    """

    def __init__(self, connection: socket.socket, close: Any) -> None:
        super().__init__(connection.fileno(), connection.fileno(), close)
        self._header = bytearray()
        self._left = 0  # bytes of the piece that have not come yet
        self._kind = 1
        self.errors = b""  # the end of what it wrote to stderr

    def _take_in(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            if not self._left:
                take = 8 - len(self._header)
                self._header += rest[:take]
                rest = rest[take:]
                if len(self._header) == 8:
                    self._kind, self._left = struct.unpack(">B3xI", self._header)
                    self._header.clear()
                continue
            part, rest = rest[: self._left], rest[self._left :]
            self._left -= len(part)
            if self._kind == 1:
                super()._take_in(bytes(part))
            else:
                self.errors = (self.errors + bytes(part))[-2000:]


class DockerSandbox(WarmSandbox):
    """Runs candidates in a container of this host's engine; see `WarmSandbox` for the arguments.

    Raises:
        SandboxError: no engine or no image is there, or the runner cannot start.
    """

    isolation = "docker"

    def __init__(
        self,
        settings: SandboxSettings,
        *,
        base: Files | None = None,
        guest: Files | None = None,
        main: str = "",
    ) -> None:
        super().__init__(settings, base=base, guest=guest, main=main)
        self._client = daemon.connect()
        self._container = ""
        self.start()

    def _launch(self) -> tuple[Channel, dict[str, Any]]:
        api = self._client.api
        made = api.create_container(
            self.settings.image,
            entrypoint=runner.command("python3"),
            command=[],
            environment=_ENVIRONMENT,
            user="0:0",
            working_dir="/",
            stdin_open=True,
            labels={_LABEL: "sandbox"},
            host_config=api.create_host_config(**self._limits()),
        )
        self._container = made["Id"]
        raw = api.attach_socket(made["Id"], {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        connection = socket.socket(fileno=os.dup(raw.fileno()))
        raw.close()
        api.start(made["Id"])
        connection.sendall(runner.sources())
        connection.setblocking(False)

        def close() -> None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            with contextlib.suppress(docker.errors.APIError):
                api.remove_container(made["Id"], force=True)

        return Stream(connection, close), {"tier": "docker", "hidden_modules": ["evolver"]}

    def _limits(self) -> dict[str, Any]:
        settings = self.settings
        memory = (settings.memory + _MOST_PRELOADED) * MIB
        return {
            "network_mode": "bridge" if settings.network else "none",
            "read_only": True,
            "cap_drop": ["ALL"],
            "cap_add": ["SETUID", "SETGID", "KILL"],
            "security_opt": ["no-new-privileges:true"],
            "pids_limit": 2 * settings.processes + 16,
            "mem_limit": memory,
            "memswap_limit": memory,
            "nano_cpus": 10**9,
            "tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,mode=711,size={SCRATCH}m,nr_inodes={_INODES}"},
            "init": True,
            "ipc_mode": "none",
            "log_config": {"Type": "none"},
            "ulimits": [Ulimit(name="core", soft=0, hard=0)],
            "auto_remove": True,
        }
