"""Examine this machine: isolation, container engines, GPUs, tools, names of keys."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from evolver import extras
from evolver.errors import SandboxError
from evolver.sandboxes import SandboxSettings, local

_OPTIONAL = ("plotly", "torch")
_KEYS = ("_API_KEY", "_API_TOKEN", "_ACCESS_KEY_ID")  # how the names of keys end
_PATIENCE = 10.0  # seconds for a tool to answer


@dataclass(frozen=True)
class Docker:
    """A container engine.

    Attributes:
        engine: its version; "" if none can be used.
        reason: why none can be used, and what to do.
        image: the image for tasks without requirements.
        has_image: whether that image exists.
    """

    engine: str
    reason: str = ""
    image: str = ""
    has_image: bool = False


@dataclass(frozen=True)
class Host:
    """What this machine offers.

    Attributes:
        cores: cores that this process may use.
        memory: of the machine, in bytes.
        tiers: tier of the local sandbox -> what this host lacks for it; "" if the tier works.
        notes: shortcomings of the strongest tier that works, in sentences.
        gpus: name and memory of each.
        git: its path; "" if it is not installed.
        missing: optional packages that are not installed -> the command that installs them.
        keys: names of environment variables that hold keys.
    """

    evolver: str
    python: str
    cores: int
    memory: int
    tiers: Mapping[str, str]
    notes: Sequence[str]
    docker: Docker
    gpus: Sequence[str]
    git: str
    missing: Mapping[str, str]
    keys: Sequence[str]

    @property
    def tier(self) -> str:
        """The strongest tier that works here."""
        return next(tier for tier, lack in self.tiers.items() if not lack)


def examine() -> Host:
    """Examine this machine; try a candidate in each tier of the local sandbox."""
    tiers = {
        tier: " ".join(local.lacks(tier)).removeprefix(f"tier {tier}: ") for tier in local.TIERS
    }
    tiers[local.TIERS[-1]] = ""  # resource limits work everywhere
    return Host(
        evolver=version("evolver"),
        python=platform.python_version(),
        cores=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        tiers=tiers,
        notes=_notes(),
        docker=_docker(),
        gpus=_gpus(),
        git=shutil.which("git") or "",
        missing={
            name: extras.installation(name)
            for name in _OPTIONAL
            if importlib.util.find_spec(name) is None
        },
        keys=sorted(name for name in os.environ if name.endswith(_KEYS) and os.environ[name]),
    )


def _notes() -> Sequence[str]:
    with contextlib.closing(local.LocalSandbox(SandboxSettings(allow_unisolated=True))) as sandbox:
        return sandbox.report().notes


def _docker() -> Docker:
    # Half a second to import, and only needed here.
    from evolver.sandboxes import daemon, image

    try:
        client = daemon.connect()
    except SandboxError as error:
        return Docker("", str(error))
    try:
        tag = image.default_tag()
        about = client.version()
        return Docker(f"{about.get('Version', '')}", "", tag, bool(client.images.list(name=tag)))
    finally:
        client.close()


def _gpus() -> Sequence[str]:
    if shutil.which("nvidia-smi") is None:
        return ()
    question = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            question, capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
        return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())
    return ()
