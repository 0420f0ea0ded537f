"""Times an approximation in registers, on a GPU or on the processor, by `evolver.scoring.bench`.

For each loaded value a call computes many values, at secret places of the binade, and stores the
sum of their bits. So the arithmetic determines the time, and the evaluator can compute each stored
sum, to the bit, from the verified values.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from evolver.errors import CandidateOutputError
from evolver.scoring import bench, devices
from evolver.types import Candidate

from .functions import BINADE, Function
from .trusted import Values, library_in_harness
from .writing import in_triton

_COUNT = {"cpu": 1 << 16, "cuda": 1 << 22}  # values that a call loads, and stores
_INPUTS = 2  # for the verification before the timing
_GUESTS = {"cpu": "compiled", "cuda": "graphics"}


def prepare(candidate: Candidate, of: Function, device: devices.Device, rounds: int) -> None:
    """Prepare a compiled candidate for timing, and on a GPU for returning its values."""
    candidate.call(f"{_GUESTS[device]}:prepare", of.binade_start, rounds, device)


def compare(
    candidate: Candidate,
    of: Function,
    values: Values,
    device: devices.Device,
    rounds: int,
    flags: Sequence[str],
    repeats: int,
) -> tuple[Mapping[str, float], Sequence[str]]:
    """Time a prepared candidate beside the device's own library.

    Args:
        candidate: after `prepare`.
        of: the approximated function.
        values: the candidate's, on the whole binade.
        device: to time it on.
        rounds: values that are computed for each loaded one.
        flags: of gcc, on the processor.
        repeats: batches.

    Returns:
        `ns` and `against_library`, and lines about the device for the feedback.

    Raises:
        CandidateOutputError: the timed calls compute other values than these.
    """
    known, count = values.view(np.uint32), _COUNT[device]
    strides = np.arange(rounds, dtype=np.uint32)

    def draw() -> bench.Call:
        inputs = (
            bench.Drawn((count,), "float32", of.binade, 2 * of.binade),
            bench.Drawn((1,), "float32", 0.5, 1.0),
        )
        return bench.Call(inputs, (count,), "float32")

    def check(piece: bench.Piece) -> None:
        inside = piece.first + np.arange(len(piece.values))
        places = _places(piece.input(0, inside))
        stride = 2 * _places(piece.input(1, np.zeros(1, np.int64))) + np.uint32(1)
        drawn = (places[:, None] + strides * stride) & np.uint32(BINADE - 1)
        wanted = known[drawn].sum(axis=1, dtype=np.uint32) & np.uint32(0xFFFFFF)
        if (piece.values != wanted).any():
            raise CandidateOutputError(
                "the timed calls computed other values than those that were verified"
            )

    theirs = bench.in_candidate(candidate, f"{_GUESTS[device]}:fold", device)
    reference = bench.in_worker(_library(of, device, rounds, tuple(flags)), device, candidate.rng)
    alone = bench.time_alone(reference, draw)
    bench.verify(theirs, draw, check, _INPUTS)
    found = bench.compare(theirs, reference, draw, check, repeats, alone=alone)
    return (
        {"ns": 1e9 * found.seconds / (count * rounds), "against_library": found.speedup},
        devices.describe(reference.about),
    )


def _places(x: np.ndarray) -> np.ndarray:
    """Return the positions of float32 numbers within their binade."""
    return x.astype(np.float32).view(np.uint32) & np.uint32(BINADE - 1)


@cache
def _library(
    of: Function, device: devices.Device, rounds: int, flags: tuple[str, ...]
) -> Callable[..., None]:
    """Return the library's own function, to be called as the candidate's."""
    if device == "cuda":
        kernel = load_kernel(in_triton(f"    return {of.on_gpu}"))
        return lambda x, secret, out: kernel.fold(x, secret, out, of.binade_start, rounds)
    folded = library_in_harness(of, flags, "-ffast-math").harness_fold

    def fold(x: Any, secret: Any, out: Any) -> None:
        folded(of.binade_start, rounds, len(x), x.ctypes.data, secret.ctypes.data, out.ctypes.data)

    return fold


def load_kernel(text: str) -> Any:
    """Import a kernel of the evaluator; Triton reads its file again at the first call."""
    folder = tempfile.TemporaryDirectory(prefix="evolver-kernel-")
    path = Path(folder.name) / "kernel.py"
    path.write_text(text, "utf-8")
    spec = importlib.util.spec_from_file_location("evolver_reference_kernel", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.folder = folder  # type: ignore[attr-defined]  # lasts as long as the module
    return module
