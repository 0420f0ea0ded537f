"""The device that an evaluator computes on: the processor, or a GPU that the task asks for."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from evolver.errors import UsageError

Device = Literal["cpu", "cuda"]
INSTEAD = 'to run it on the processor, set [evaluator] with = { device = "cpu" }'


def require(device: Device, gpus: Sequence[int], instead: str = INSTEAD) -> None:
    """Check that candidates can use a device; an evaluator's `check_host` calls it.

    Args:
        device: where the evaluator runs them.
        gpus: numbers of the GPUs that the task's sandbox gives them.
        instead: ends the message: how to run the task without a GPU.

    Raises:
        UsageError: this machine has no such device, or the task's sandbox does not pass it on.
    """
    if device == "cpu":
        return
    if not gpus:
        raise UsageError(
            "this task runs on a GPU, and its sandbox has none: set [sandbox] gpus = [0]; "
            + instead
        )
    missing = [number for number in gpus if not Path(f"/dev/nvidia{number}").exists()]
    if missing:
        raise UsageError(
            f"this task runs on a GPU, and there is no GPU {missing[0]} here; {instead}"
        )


def require_compiler() -> None:
    """Check that gcc is installed, for tasks with programs in C.

    Raises:
        UsageError: it is not.
    """
    if shutil.which("gcc") is None:
        raise UsageError("gcc is not installed here; install it (Debian: apt-get install gcc)")


def describe(about: Mapping[str, Any]) -> list[str]:
    """Return a line about a GPU and its driver, for feedback; nothing for the processor.

    Args:
        about: the trusted side's `bench.Bench.about`: name, memory in bytes, versions.
    """
    if "name" not in about:
        return []
    known = [
        f"{about['name']}, {about['memory'] / 2**30:.0f} GiB",
        f"torch {about['torch']}, CUDA {about['cuda']}",
        *driver()[:1],  # without clocks and temperature, which change between evaluations
    ]
    return ["on " + "; ".join(known)]


@cache
def driver() -> Sequence[str]:
    """Return the driver, the clocks and the temperature by nvidia-smi, at the first call.

    Empty if nvidia-smi does not answer.
    """
    fields = "driver_version,clocks.sm,clocks.mem,temperature.gpu"
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    number = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
    try:
        done = subprocess.run(
            [*command, *(["-i", number] if number else [])],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    found = done.stdout.partition("\n")[0].split(", ")
    if len(found) != 4:
        return ()
    driver, sm, memory, temperature = found
    return f"driver {driver}", f"clocks {sm} and {memory}", f"{temperature} degrees"
