"""New images of handwritten digits, made from scikit-learn's."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from evolver import extras
from evolver.scoring.datasets.parts import Dataset, Images, Labels, Reals, assembled


def digits(seed: int, train: int = 2000, validation: int = 600, held_out: int = 600) -> Dataset:
    """Draw images (n, 1, 8, 8) of ten handwritten digits, made from scikit-learn's.

    Each image mixes two of the 1,797 originals that show the same digit, randomly rotated, sheared,
    scaled and shifted, and adds noise. The seed also draws a curve for the grey values, and which
    number stands for which digit. The originals are dealt to the three parts first, so that no two
    parts share one. Whoever has the originals has more examples to learn from, but no answers: an
    image is not recognised by its nearest original.

    Args:
        seed: a secret; the same one gives the same dataset.
        train: images in that part.
        validation: images in that part.
        held_out: images in that part.

    Raises:
        UsageError: scikit-learn is not installed, or a part is empty.
    """
    extras.require_modules("sklearn")
    rng = np.random.default_rng(seed)
    images, shown = _originals()
    dealt: list[list[NDArray[np.intp]]] = [[], [], []]  # part, digit -> indices of originals
    for digit in range(10):
        found = rng.permutation(np.flatnonzero(shown == digit))
        for part, indices in zip(dealt, np.split(found, _cuts(found.size)), strict=True):
            part.append(indices)
    gamma = rng.uniform(0.7, 1.4)

    def make(part: int, labels: Labels, names: NDArray[np.int64]) -> Images:
        pools = dealt[part]
        one, other = (
            np.array([rng.choice(pools[names[label]]) for label in labels]) for _ in range(2)
        )
        weight = rng.uniform(0.35, 0.65, (labels.size, 1, 1))
        mixed = weight * _warped(images[one], rng) + (1 - weight) * _warped(images[other], rng)
        mixed = mixed**gamma * rng.uniform(0.7, 1.3, weight.shape)
        return (mixed + 0.12 * rng.standard_normal(mixed.shape))[:, None].astype(np.float32)

    return assembled(rng, 10, (train, validation, held_out), make)


def _cuts(count: int) -> list[int]:
    """Return where to cut: 60 % are for training, 20 % each for validation and held-out."""
    return [round(0.6 * count), round(0.8 * count)]


@functools.cache
def _originals() -> tuple[Reals, NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images / 16.0, found.target.astype(np.int64)


def _warped(images: Reals, rng: np.random.Generator) -> Reals:
    """Rotate, shear, scale and shift each image (n, s, s) randomly; outside it is 0."""
    count, size = images.shape[:2]
    each = (count, 1, 1)
    angle, slant = rng.uniform(-0.3, 0.3, each), rng.uniform(-0.2, 0.2, each)
    rows, columns = rng.uniform(0.85, 1.2, (2, *each))
    shift = rng.uniform(-0.7, 0.7, (2, *each))
    axis = np.arange(size) - (size - 1) / 2
    y, x = axis[None, :, None], axis[None, None, :]
    cos, sin = np.cos(angle), np.sin(angle)
    from_y = (cos * y - sin * x) * rows + shift[0] + (size - 1) / 2
    from_x = (sin * y + cos * x + slant * y) * columns + shift[1] + (size - 1) / 2
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    from_y, from_x = (np.clip(place + 1, 0, size + 0.999) for place in (from_y, from_x))
    top, left = from_y.astype(np.intp), from_x.astype(np.intp)
    low, right = from_y - top, from_x - left
    which = np.arange(count)[:, None, None]
    above = (1 - right) * padded[which, top, left] + right * padded[which, top, left + 1]
    below = (1 - right) * padded[which, top + 1, left] + right * padded[which, top + 1, left + 1]
    result: Reals = (1 - low) * above + low * below
    return result
