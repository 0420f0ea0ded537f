"""Small files in the form of CIFAR-10's for Python."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np


def write_cifar10(folder: Path, each: int = 20) -> Path:
    """Write the six files with `each` images, all of them different, in each; return the folder."""
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        batch = {
            b"batch_label": name.encode(),
            b"labels": [index % 10 for index in range(each)],
            b"data": rng.integers(0, 256, (each, 3072), dtype=np.uint8),
            b"filenames": [b"x.png"] * each,
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return folder
