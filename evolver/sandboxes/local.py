"""The local backend: a runner on this host, at the strongest tier that the host allows."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evolver.bundled import PACKAGE, bundled
from evolver.errors import CandidateError, SandboxError
from evolver.sandboxes import gpus, runner
from evolver.sandboxes.channel import Channel
from evolver.sandboxes.settings import SandboxSettings
from evolver.sandboxes.warm import WarmSandbox
from evolver.types import Files, Program

TIERS = ("A", "B", "C")
#: The distribution's programs, so that a candidate may use any installed language.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
#: Folders in it where people put their own sources, perhaps evaluators.
_SOURCES = ("/usr/src", "/usr/local/src")
_PACKAGES = "lib/python3*/*-packages"  # of other Pythons


class LocalSandbox(WarmSandbox):
    """Runs candidates on this host; see `WarmSandbox` for the arguments.

    Args:
        tier: the tier to use; "": the strongest that works.

    Raises:
        SandboxError: the tier is weaker than `require`, or it is C and `allow_unisolated` is not
            set, or the runner cannot start, for instance because a preload cannot be imported.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        *,
        base: Files | None = None,
        guest: Files | None = None,
        main: str = "",
        tier: str = "",
    ) -> None:
        super().__init__(settings, base=base, guest=guest, main=main)
        self.isolation = tier or strongest_tier()
        self._check_tier()
        self.start()

    def _check_tier(self) -> None:
        needed = self.settings.require
        if needed and TIERS.index(self.isolation) > TIERS.index(needed):
            raise SandboxError(
                f"the task requires isolation {needed}, this host offers {self.isolation}: "
                + "; ".join(lacks(needed))
            )
        if self.isolation == "C" and not self.settings.allow_unisolated:
            raise SandboxError(
                "this host can isolate candidates only by resource limits (tier C), which stops "
                "accidents and no attack: " + "; ".join((*lacks("A"), *lacks("B"))) + ". Run on a "
                "host that has one of them, or accept it with --allow-unisolated"
            )

    def _launch(self) -> tuple[Channel, dict[str, Any]]:
        path, visible = python_paths()
        visible = [*visible, *self._shown()]
        visible += gpu_paths() if self.settings.gpus else []
        if self.isolation != "A" and os.getuid() == 0:
            require_readable(path)
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                runner.command(sys.executable),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                env=self._environment(),
                cwd="/",
                start_new_session=True,  # a Ctrl-C is for the controller
            )
        ours.sendall(runner.sources())
        ours.setblocking(False)

        def close() -> None:
            ours.close()  # the runner kills its candidates and ends, and then its keeper
            try:
                process.wait(channel.patience)
            except subprocess.TimeoutExpired:
                process.terminate()  # the keeper kills the runner and all that is below it
                process.wait()

        terms = {
            "tier": self.isolation,
            "path": path,
            "visible": visible,
            "hidden": hidden_paths(),
            "devices": gpu_devices(self.settings.gpus),
        }
        channel = Channel(ours.fileno(), ours.fileno(), close)
        return channel, terms

    def _environment(self) -> dict[str, str]:
        environment = {**runner.ENVIRONMENT, "PATH": self._search_path()}
        if self.settings.gpus:
            environment.update(gpus.environment(self.settings.gpus))
            if libraries := os.environ.get("LD_LIBRARY_PATH"):  # the driver may be there
                environment["LD_LIBRARY_PATH"] = libraries
        return environment

    def _search_path(self) -> str:
        """Return the PATH of candidates: this Python first, then the task's folders."""
        more = [f"{place}/bin" for place in self.settings.visible if Path(place, "bin").is_dir()]
        python = str(Path(sys.executable).resolve().parent)
        return os.pathsep.join([python, *more, runner.ENVIRONMENT["PATH"]])


def gpu_devices(numbers: Iterable[int]) -> list[str]:
    """Return the device files of these GPUs and of the driver.

    Raises:
        SandboxError: there is no such GPU.
    """
    own = [f"/dev/nvidia{number}" for number in numbers]
    for path in own:
        if not Path(path).exists():
            raise SandboxError(
                f"[sandbox] gpus: there is no {path}; name GPUs that nvidia-smi lists"
            )
    shared = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")
    return [*own, *(path for path in shared if own and Path(path).exists())]


def gpu_paths() -> list[str]:
    """Return further paths that candidates need for a GPU.

    The driver reads the machine's topology. Triton compiles against Python's headers.
    """
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    places = ["/sys/devices", "/sys/bus/pci", sysconfig.get_path("include"), *libraries]
    return [place for place in places if place.startswith("/") and Path(place).is_dir()]


def python_paths() -> tuple[list[str], list[str]]:
    """Return `sys.path` for candidates, and the paths of the host that they need for it."""
    library = sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix})
    installed = [
        entry for entry in sys.path if entry.endswith(("/site-packages", "/dist-packages"))
    ]
    path = [library, f"{library}/lib-dynload", *installed]
    interpreter = Path(sys.executable).resolve()
    names = [interpreter, interpreter.with_name("python3"), interpreter.with_name("python")]
    shared = sysconfig.get_config_var("LIBDIR") or ""
    visible = [*_SYSTEM, library, *map(str, names), *installed]
    name = sysconfig.get_config_var("INSTSONAME") or ""
    if shared and ".so" in name:
        visible.append(f"{shared}/{name}")
    return path, [place for place in dict.fromkeys(visible) if Path(place).exists()]


def require_readable(path: list[str]) -> None:
    """Refuse a Python that only root can read, because candidates have a uid of their own.

    Raises:
        SandboxError: a folder above it is closed to others.
    """
    for place in path:
        for folder in (Path(place), *Path(place).parents):
            if folder.exists() and not folder.stat().st_mode & 0o001:
                raise SandboxError(
                    f"{folder} is closed to other users, and candidates run under a uid of their "
                    "own; use a Python outside of it, or run as an ordinary user"
                )


def hidden_paths() -> list[str]:
    """Return the paths of evolver, installed evaluators and people's own sources.

    Candidates must not read an evaluator, because it may hold the answers.
    """
    others = [str(place) for root in ("/usr", "/usr/local") for place in Path(root).glob(_PACKAGES)]
    packages = [
        f"{folder}/{name}{suffix}"
        for folder in dict.fromkeys([*python_paths()[0], *others])
        for name in runner.hidden_modules()
        for suffix in ("", ".py")
    ]
    places = [*_SOURCES, str(PACKAGE), str(bundled("evaluators")), *packages]
    return [place for place in places if Path(place).exists()]


# --- tiers ----------------------------------------------------------------------------------------

# It imports what nothing has imported before, so that Python's library must be in its sight.
_SELF_TEST = Program(id=0, files={"self_test.py": b"def run():\n    import colorsys, _csv\n"})


@functools.cache
def _failure(tier: str) -> str:
    """Try a tier by running a candidate in it; return why it fails, or ""."""
    try:
        with (
            contextlib.closing(
                LocalSandbox(SandboxSettings(allow_unisolated=True), tier=tier)
            ) as sandbox,
            sandbox.open(_SELF_TEST, seed=0, timeout=10.0) as candidate,
        ):
            candidate.call("run")
    except (SandboxError, CandidateError) as error:
        return str(error)
    return ""


def strongest_tier() -> str:
    """Return the strongest tier in which a candidate runs here; tried once."""
    return next((tier for tier in TIERS if not _failure(tier)), "C")


def lacks(tier: str) -> list[str]:
    """Return in short sentences why a tier fails on this host."""
    reason = _failure(tier)
    return [f"tier {tier}: {reason.strip().splitlines()[-1]}"] if reason else []
