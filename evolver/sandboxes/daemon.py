"""The container engine of this host: reached, and looked at before it is trusted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import docker
import docker.errors
import requests

from evolver.errors import SandboxError

_TIMEOUT = 60  # seconds for one request
#: What `info()` calls a limit, and what it limits.
_LIMITS = {"MemoryLimit": "memory", "PidsLimit": "processes", "CpuCfsQuota": "CPU time"}


def connect() -> Any:
    """Return a client of the engine that DOCKER_HOST names, else of the one of this host.

    Raises:
        SandboxError: none answers, or it would not keep to the limits; the message says what to do.
    """
    try:
        client = docker.from_env(timeout=_TIMEOUT)
        about = client.info()
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise SandboxError(_unreachable(error)) from error
    reason = refusal(about)
    if client.api.base_url.startswith(("https", "http+docker://ssh")):
        reason = "it is reached by TLS or SSH, and candidates need a socket or plain TCP"
    if reason:
        client.close()
        raise SandboxError(
            f"this container engine cannot be used: {reason}. Name another one by DOCKER_HOST, or "
            "take --sandbox local"
        )
    return client


def _unreachable(error: BaseException) -> str:
    place = os.environ.get("DOCKER_HOST", "/var/run/docker.sock")
    instead = "or take --sandbox local"
    chain: BaseException | None = error
    while chain is not None:
        text = str(chain)
        if isinstance(chain, PermissionError) or "Permission denied" in text:
            return (
                f"{place} is closed to this user: add the user to the group 'docker' (usermod -aG "
                f"docker NAME) and log in again, {instead}"
            )
        chain = chain.__context__
    return (
        f"no container engine answers at {place}: install one (Debian, Ubuntu: apt-get install "
        f"docker.io), start it, or name its socket by DOCKER_HOST, {instead}"
    )


def refusal(about: Mapping[str, Any]) -> str:
    """Return why an engine cannot keep candidates in, from its `info()`; "" where it can.

    Rootless engines on version 1 of the control groups take every limit and ignore it.
    """
    if about.get("OSType", "linux") != "linux":
        return f"its containers are of {about['OSType']}, and the runner is of Linux"
    is_rootless = any("rootless" in option for option in about.get("SecurityOptions") or ())
    if is_rootless and str(about.get("CgroupVersion", "1")) == "1":
        return (
            "it is rootless and on cgroup version 1, where it ignores every limit of memory and "
            "processes; boot with systemd.unified_cgroup_hierarchy=1, or use it as root"
        )
    missing = [what for key, what in _LIMITS.items() if about.get(key) is False]
    if about.get("CgroupDriver") == "none":
        missing = list(_LIMITS.values())
    return f"it does not limit {', '.join(missing)}" if missing else ""
