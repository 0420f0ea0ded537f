"""A dataset and its three parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evolver.errors import UsageError

Images = NDArray[np.float32]  # (n, channels, height, width)
Labels = NDArray[np.int64]  # (n,)
Reals = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Part:
    """Images and their classes.

    Attributes:
        inputs: float32, (n, channels, height, width).
        labels: int64, (n,), from 0.
    """

    inputs: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three parts that share no image; each has as many of every class, up to one, in random order.

    The inputs are normalised: over the training part each channel has mean 0 and deviation 1.

    Attributes:
        train: images to learn from.
        validation: images to score by.
        held_out: images for private metrics only.
        classes: number of classes.
    """

    train: Part
    validation: Part
    held_out: Part
    classes: int

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.train.inputs.shape[1])

    @property
    def size(self) -> int:
        """Height and width of an image, in pixels."""
        return int(self.train.inputs.shape[2])


def assembled(
    rng: np.random.Generator,
    classes: int,
    counts: tuple[int, int, int],
    make: Callable[[int, Labels, NDArray[np.int64]], Images],
) -> Dataset:
    """Make the three parts.

    Args:
        rng: the only source of randomness.
        classes: number of classes.
        counts: images of each part.
        make: gets the number of a part, the labels of its images, and the class of each label;
            returns the images.
    """
    names = rng.permutation(classes)
    parts = []
    for number, count in enumerate(counts):
        if count < classes:
            raise UsageError(
                f"a part of {count} images is too small for {classes} classes; ask for more"
            )
        labels = rng.permutation(np.arange(count, dtype=np.int64) % classes)
        parts.append(Part(make(number, labels, names), labels))
    seen = parts[0].inputs
    mean = seen.mean(axis=(0, 2, 3), keepdims=True)
    deviation = seen.std(axis=(0, 2, 3), keepdims=True) + np.float32(1e-6)
    train, validation, held_out = (Part((p.inputs - mean) / deviation, p.labels) for p in parts)
    return Dataset(train, validation, held_out, classes)
