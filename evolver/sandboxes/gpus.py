"""GPUs: the environment that shows them to a process."""

from __future__ import annotations

from collections.abc import Sequence


def environment(gpus: Sequence[int]) -> dict[str, str]:
    """Return the variables that show a process these GPUs, by the numbers of nvidia-smi."""
    return {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus)),
    }
