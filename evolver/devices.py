"""Where an evaluator has its numbers crunched: the processor, or a GPU that a task asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from evolver.errors import UsageError

Device = Literal["cpu", "cuda"]


def require(device: Device, gpus: Sequence[int]) -> None:
    """Check that candidates can have a device; an evaluator's `check_host` calls it.

    Args:
        device: where the evaluator runs them.
        gpus: numbers of the GPUs that the task's sandbox gives them.

    Raises:
        UsageError: there is no such device here, or the sandbox does not give it to them.
    """
    if device == "cpu":
        return
    twin = 'the same runs on the processor with [evaluator] with = { device = "cpu" }'
    if not gpus:
        raise UsageError(
            "this task runs on a GPU and its sandbox gives it none: set [sandbox] gpus = [0]; "
            + twin
        )
    missing = [number for number in gpus if not Path(f"/dev/nvidia{number}").exists()]
    if missing:
        raise UsageError(f"this task runs on a GPU and there is no GPU {missing[0]} here; {twin}")
