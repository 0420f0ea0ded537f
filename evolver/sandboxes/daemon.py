"""The container engine of this host: connects to it, and checks that it keeps its limits."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Any

import docker
import docker.errors
from docker.context import ContextAPI

from evolver.errors import SandboxError
from evolver.sandboxes import owners

OWNER = "evolver.owner"  # label of a container: the process that owns it
_TIMEOUT = 60  # seconds for one request
_REMOVAL = 10  # seconds for an engine to remove an ended container
#: Key of `info()` -> the resource that is limited.
_LIMITS = {"MemoryLimit": "memory", "PidsLimit": "processes", "CpuCfsQuota": "CPU time"}
_INSTEAD = "or use --sandbox local"


def connect() -> Any:
    """Return a client of the engine that DOCKER_HOST or docker's current context names.

    Raises:
        SandboxError: no engine answers, or it would ignore limits; the message says what to do.
    """
    address = _address()
    with contextlib.ExitStack() as opened:
        try:
            _knock(address)
            client = (
                docker.from_env(timeout=_TIMEOUT)
                if "DOCKER_HOST" in os.environ
                else docker.DockerClient(base_url=address, timeout=_TIMEOUT)
            )
            opened.callback(client.close)
            about = client.info()
        except (docker.errors.DockerException, OSError) as error:
            raise SandboxError(_unreachable(address, error)) from error
        opened.pop_all()
    reason = refusal(about)
    if client.api.base_url.startswith(("https", "http+docker://ssh")):
        reason = "it is reached by TLS or SSH, and evolver needs a plain socket"
    if reason:
        client.close()
        raise SandboxError(
            f"the container engine at {address} cannot be used: {reason}. Name another one in "
            f"DOCKER_HOST, {_INSTEAD}"
        )
    return client


def _knock(address: str) -> None:
    """Connect to a local engine's socket and close the connection.

    docker's client leaves its socket open if it cannot connect.

    Raises:
        OSError: no engine listens there.
    """
    scheme, _, path = address.partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as engine:
            engine.settimeout(_TIMEOUT)
            engine.connect(path)


def _address() -> str:
    if host := os.environ.get("DOCKER_HOST"):
        return host
    with contextlib.suppress(docker.errors.DockerException, OSError, ValueError):
        return str(ContextAPI.get_current_context().Host)
    return "unix:///var/run/docker.sock"


def _unreachable(address: str, error: BaseException) -> str:
    if "Permission denied" in str(error):
        return (
            f"{address} is closed to this user: add the user to the group 'docker' (usermod -aG "
            f"docker NAME) and log in again, {_INSTEAD}"
        )
    return (
        f"no container engine answers at {address}: install one (Debian, Ubuntu: apt-get install "
        f"docker.io) and start it, or name its socket in DOCKER_HOST, {_INSTEAD}"
    )


def refusal(about: Mapping[str, Any]) -> str:
    """Return from its `info()` why an engine cannot confine candidates; "" if it can.

    A rootless engine on version 1 of the control groups accepts every limit and ignores it.
    """
    if about.get("OSType", "linux") != "linux":
        return f"its containers run {about['OSType']}, and the runner needs Linux"
    is_rootless = any("rootless" in option for option in about.get("SecurityOptions") or ())
    if is_rootless and str(about.get("CgroupVersion", "1")) == "1":
        return (
            "it is rootless and on cgroup version 1, where it ignores every limit of memory and "
            "processes; boot with systemd.unified_cgroup_hierarchy=1, or run it as root"
        )
    missing = [what for key, what in _LIMITS.items() if about.get(key) is False]
    if about.get("CgroupDriver") == "none":
        missing = list(_LIMITS.values())
    return f"it does not limit {', '.join(missing)}" if missing else ""


def remove(client: Any, container: str) -> None:
    """Kill a container and remove it; return when it is gone."""
    try:
        client.api.remove_container(container, force=True)
    except docker.errors.NotFound:
        pass
    except docker.errors.APIError:  # it has ended, and the engine is removing it
        with contextlib.suppress(docker.errors.DockerException, OSError):
            client.api.wait(container, condition="removed", timeout=_REMOVAL)


def remove_orphans(client: Any) -> int:
    """Remove the containers whose owners are dead; return their number.

    When an owner is killed, the end of its stream ends the container at once. Containers are left
    only where the engine was stopped in between.
    """
    found = client.api.containers(all=True, filters={"label": OWNER})
    orphans = [each["Id"] for each in found if owners.is_dead(each["Labels"][OWNER])]
    for container in orphans:
        remove(client, container)
    return len(orphans)
