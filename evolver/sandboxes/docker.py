"""The docker backend: a warm runner in a container with few rights."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any

import docker.errors
from docker.types import DeviceRequest, Mount, Ulimit

from evolver.errors import SandboxError
from evolver.sandboxes import daemon, owners, runner
from evolver.sandboxes.channel import Channel
from evolver.sandboxes.evaluation import Evaluation
from evolver.sandboxes.settings import MIB, SandboxSettings
from evolver.sandboxes.warm import SCRATCH, WarmSandbox
from evolver.sandboxes.wire import Buffer
from evolver.types import Files

_LIFE = 5000  # evaluations of one container
_MOST_PRELOADED = 2048  # MiB for the preload, until the runner reports its size
_SLACK = 64  # MiB for shared pages and for the waiting candidate
_PROGRAM = 16 * MIB  # bytes for a program's files
_THREADS = 8  # for each process
_INODES = 8192
_CPUS = 1.5  # of a candidate, and of the runner beside it
_ENVIRONMENT = {name: value for name, value in runner.ENVIRONMENT.items() if name != "PATH"}


class Stream(Channel):
    """A channel over an engine's attached stream, whose pieces carry their source.

    Each piece has a header of eight bytes: 1 for stdout or 2 for stderr, three zeros, its length.
    """

    grace = 2.0  # it shares its processors with the processes that it has to kill

    def __init__(self, connection: socket.socket, close: Callable[[], None]) -> None:
        super().__init__(connection.fileno(), connection.fileno(), close)
        self._header = b""
        self._is_output = True
        self._left = 0  # bytes of the present piece that have not come yet

    def _take_in(self, piece: Buffer) -> None:
        while piece:
            if not self._left:
                header = self._header + piece[: 8 - len(self._header)]
                piece = piece[8 - len(self._header) :]
                self._header = header if len(header) < 8 else b""
                if not self._header:
                    source, self._left = struct.unpack(">B3xI", header)
                    self._is_output = source == 1
                continue
            part, piece = piece[: self._left], piece[self._left :]
            self._left -= len(part)
            if self._is_output:
                super()._take_in(part)
            else:
                self.errors = (self.errors + part)[-2000:]


class DockerSandbox(WarmSandbox):
    """Runs candidates in a warm container of this host's engine.

    The container is replaced after many evaluations, after one that ran out of memory, and after a
    `SandboxError`.

    Args:
        settings: see `WarmSandbox`, also for base, guest and main.
        life: evaluations of one container.

    Raises:
        SandboxError: the engine or the image is missing, or the runner cannot start.
    """

    isolation = "docker"

    def __init__(
        self,
        settings: SandboxSettings,
        *,
        base: Files | None = None,
        guest: Files | None = None,
        main: str = "",
        life: int = _LIFE,
    ) -> None:
        super().__init__(settings, base=base, guest=guest, main=main)
        self._life = life
        self._evaluations = 0  # of this container
        self._client = daemon.connect()
        self.container = ""  # id of the present or the last one
        try:
            daemon.remove_orphans(self._client)
            self.start()
        except BaseException:
            self.close()
            self._client.close()
            raise

    def _launch(self) -> tuple[Channel, dict[str, Any]]:
        self._evaluations = 0
        shown = self._shown()
        try:
            self.container = self._create()
            connection = self._attach(self.container)
        except docker.errors.ImageNotFound:
            raise SandboxError(
                f"the image {self.settings.image} is missing: build it with 'evolver sandbox build "
                "TASK', or without a registry with 'evolver sandbox build TASK --from-host'"
            ) from None
        except (docker.errors.DockerException, OSError) as error:
            if self.container:
                daemon.remove(self._client, self.container)
            reason = getattr(error, "explanation", None) or error
            raise SandboxError(
                f"the container engine cannot start a container of {self.settings.image}: {reason}"
            ) from error
        container = self.container

        def close() -> None:
            # Close the stream first: an engine that waits to write to it would not kill.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            daemon.remove(self._client, container)
            self._client.close()

        terms = {
            "tier": "docker",
            "hidden_modules": runner.hidden_modules(),
            "shown": shown,
        }
        return Stream(connection, close), terms

    def _create(self) -> str:
        api = self._client.api
        made = api.create_container(
            self.settings.image,
            entrypoint=runner.command("python3"),
            command=[],
            environment=_ENVIRONMENT,
            hostname="sandbox",
            user="0:0",
            working_dir="/",
            stdin_open=True,
            labels={daemon.OWNER: owners.this_process()},
            host_config=api.create_host_config(**self._limits()),
        )
        return str(made["Id"])

    def _limits(self) -> dict[str, Any]:
        return limits(self.settings, self._base)

    def _attach(self, container: str) -> socket.socket:
        """Attach to a container before it starts, so that no output is lost."""
        api = self._client.api
        raw = api.attach_socket(container, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        connection = socket.socket(fileno=os.dup(raw.fileno()))
        raw._response.close()  # else the first of the two descriptors stays open
        try:
            api.start(container)
            connection.sendall(runner.sources())
        except BaseException:
            connection.close()
            raise
        connection.setblocking(False)
        return connection

    def _advice(self, missing: str) -> str:
        return (
            "in the image: add its package to [sandbox] requirements, and build the image again "
            "with 'evolver sandbox build TASK'"
        )

    def _started(self, report: Mapping[str, Any]) -> None:
        super()._started(report)
        most = report["memory"] + (self.settings.memory + SCRATCH + _SLACK) * MIB
        try:
            self._client.api.update_container(self.container, mem_limit=most, memswap_limit=most)
        except docker.errors.APIError as error:
            raise SandboxError(f"the container's memory cannot be limited: {error}") from error
        self._client.close()  # its idle connections; it makes new ones when needed

    def _needs_replacement(self, evaluation: Evaluation) -> bool:
        self._evaluations += 1
        return self._evaluations >= self._life or evaluation.is_out_of_memory


def limits(settings: SandboxSettings, base: Files) -> dict[str, Any]:
    """Return the limits of a container: arguments of docker's `create_host_config`.

    Args:
        settings: see `DockerSandbox`.
        base: files that its only disk holds beside a candidate's.
    """
    memory = (settings.memory + _MOST_PRELOADED) * MIB
    disk = SCRATCH * MIB + sum(map(len, base.values())) + _PROGRAM
    inodes = _INODES + 2 * len(base)
    # Executable, because candidates compile; larger than the memory limit, which applies first.
    ours = "rw,exec,nosuid,nodev"
    most = (settings.memory + SCRATCH + 2 * _SLACK) * MIB
    theirs = f"{ours},mode=1777,size={most},nr_inodes={_INODES}"
    return {
        "network_mode": "bridge" if settings.network else "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "cap_add": ["SETUID", "SETGID", "KILL"],
        "security_opt": ["no-new-privileges:true"],
        # Beside the candidate's there are the processes of the runner and of the waiting candidate.
        "pids_limit": 2 * _THREADS * settings.processes + 16,
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": int(_CPUS * 1e9),
        "tmpfs": {
            "/box": f"{ours},mode=711,size={disk},nr_inodes={inodes}",
            "/tmp": theirs,
            "/dev/shm": theirs,
        },
        # Not as binds, where a colon ends the path.
        "mounts": [
            Mount(target=path, source=path, type="bind", read_only=True)
            for path in settings.visible
        ],
        "init": True,
        "ipc_mode": "none",
        "log_config": {"Type": "none"},
        "ulimits": [Ulimit(name="core", soft=0, hard=0)],
        "device_requests": [
            DeviceRequest(device_ids=[str(number)], capabilities=[["gpu"]])
            for number in settings.gpus
        ],
        "auto_remove": True,
    }
