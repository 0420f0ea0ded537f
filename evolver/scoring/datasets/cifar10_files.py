"""CIFAR-10, read from its files for Python."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolver.errors import UsageError
from evolver.scoring.datasets.parts import Dataset, Images, Labels, assembled

_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))


def cifar10(
    path: str, seed: int, train: int = 40_000, validation: int = 10_000, held_out: int = 10_000
) -> Dataset:
    """Read CIFAR-10, (n, 3, 32, 32), from its files for Python; it downloads nothing.

    The seed deals the five training batches to training and validation; held-out comes from the
    test batch. Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html.

    Args:
        path: the folder "cifar-10-batches-py", absolute or from "~" on.
        seed: a secret: it deals, shuffles, and draws which number stands for which class.
        train: images in that part.
        validation: images in that part.
        held_out: images in that part.

    Raises:
        UsageError: a file is missing or malformed, or there are too few images of a class.
    """
    *batches, test = find(path)
    rng = np.random.default_rng(seed)
    learned = [_batch(batch) for batch in batches]
    images = np.concatenate([one for one, _ in learned])
    shown = np.concatenate([other for _, other in learned])
    apart = _batch(test)
    queues = _shuffled(rng, shown), _shuffled(rng, apart[1])
    taken = [np.zeros(10, dtype=np.int64), np.zeros(10, dtype=np.int64)]

    def make(part: int, labels: Labels, names: NDArray[np.int64]) -> Images:
        source = part // 2  # training and validation share the first
        chosen = np.empty(labels.size, dtype=np.intp)
        for label, name in enumerate(names):
            places = np.flatnonzero(labels == label)
            start = taken[source][name]
            taken[source][name] += places.size
            found = queues[source][name][start : start + places.size]
            if found.size < places.size:
                raise UsageError(
                    f"{path} has too few images of class {name} for parts of "
                    f"{train}, {validation} and {held_out}; ask for fewer"
                )
            chosen[places] = found
        return (images, apart[0])[source][chosen].astype(np.float32)

    return assembled(rng, 10, (train, validation, held_out), make)


def _shuffled(rng: np.random.Generator, shown: Labels) -> list[NDArray[np.intp]]:
    return [rng.permutation(np.flatnonzero(shown == name)) for name in range(10)]


def find(path: str) -> list[Path]:
    """Return the files of CIFAR-10, the test batch last.

    Args:
        path: the folder "cifar-10-batches-py", absolute or from "~" on.

    Raises:
        UsageError: the path is relative, or a file is missing.
    """
    folder = Path(path).expanduser()
    if path and not folder.is_absolute():
        raise UsageError(
            f"path = '{path}' depends on the working directory; give the absolute path of "
            "cifar-10-batches-py"
        )
    files = [folder / name for name in (*_BATCHES, "test_batch")]
    missing = [file.name for file in files if not path or not file.is_file()]
    if missing:
        raise UsageError(
            f"there is no {missing[0]} in '{path}': set path to the folder cifar-10-batches-py of "
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz; evolver does not download it"
        )
    return files


class _Unpickler(pickle.Unpickler):
    """Reads arrays and plain values, and calls no other function that a file may name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.split(".")[0], name) in {
            ("numpy", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"),
            ("_codecs", "encode"),
        }:  # fmt: skip
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")


def _batch(path: Path) -> tuple[NDArray[np.uint8], Labels]:
    try:
        with path.open("rb") as stream:
            batch = _Unpickler(stream, encoding="bytes").load()
        images = np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
        labels = np.asarray(batch[b"labels"], dtype=np.int64)
        if labels.shape != images.shape[:1] or not ((labels >= 0) & (labels < 10)).all():
            raise ValueError("malformed labels")
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path} is no batch of CIFAR-10 for Python ({error}); download the archive again"
        ) from None
    return images, labels
