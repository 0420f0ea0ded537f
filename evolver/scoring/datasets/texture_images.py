"""Images of textures, made from a seed alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from evolver.scoring.datasets.parts import Dataset, Images, Labels, Reals, assembled


def textures(
    seed: int, train: int = 1500, validation: int = 500, held_out: int = 500, size: int = 32
) -> Dataset:
    """Draw images (n, 3, size, size) of ten textures: gratings, checks, rings, dots, noises.

    Colours, phases, directions, scales and contrast are drawn for each image, independently of its
    class, so that a network has to learn the structure. Similar classes differ by a number that the
    seed draws: the spectra of two noises, the ratio of two gratings.

    Args:
        seed: a secret; the same one gives the same dataset.
        train: images in that part.
        validation: images in that part.
        held_out: images in that part.
        size: height and width in pixels.

    Raises:
        UsageError: a part is empty.
    """
    rng = np.random.default_rng(seed)
    makers = _Patterns(rng, size).makers

    def make(_part: int, labels: Labels, names: NDArray[np.int64]) -> Images:
        patterns = np.empty((labels.size, size, size), dtype=np.float32)
        for label in range(names.size):
            chosen = np.flatnonzero(labels == label)
            patterns[chosen] = makers[names[label]](chosen.size)
        patterns -= patterns.mean(axis=(1, 2), keepdims=True)
        patterns /= patterns.std(axis=(1, 2), keepdims=True) + 1e-9
        colour, ground = rng.uniform(-1, 1, (2, labels.size, 3, 1, 1)).astype(np.float32)
        colour /= np.linalg.norm(colour, axis=1, keepdims=True)
        images = rng.standard_normal((labels.size, 3, size, size), dtype=np.float32)
        images *= np.float32(0.35)
        images += ground
        images += colour * patterns[:, None]
        return images

    return assembled(rng, len(makers), (train, validation, held_out), make)


class _Patterns:
    """Draws n patterns (n, size, size) of a class; `makers` are those of the classes, in order."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self._rng = rng
        self._size = size
        axis = np.arange(size, dtype=np.float64)
        self._y, self._x = axis[None, :, None], axis[None, None, :]
        frequencies = np.fft.fftfreq(size)
        self._spectrum = np.hypot(frequencies[:, None], frequencies)
        self._spectrum[0, 0] = np.inf
        slope, ratio = rng.uniform(0.7, 0.9), rng.uniform(1.6, 1.8)
        self.makers: Sequence[Callable[[int], Reals]] = (
            self.gratings,
            self.bars,
            self.plaids,
            self.checks,
            functools.partial(self.beats, ratio=ratio),
            functools.partial(self.beats, ratio=ratio + 0.8),
            self.rings,
            self.dots,
            functools.partial(self.noise, slope=slope),
            functools.partial(self.noise, slope=slope + 0.7),
        )

    def _each(self, low: float, high: float, count: int) -> Reals:
        return self._rng.uniform(low, high, (count, 1, 1))

    def _angles(self, count: int) -> Reals:
        return self._each(0, np.pi, count)

    def _wave(self, angle: Reals, period: Reals) -> Reals:
        along = np.cos(angle) * self._x + np.sin(angle) * self._y
        phase = self._each(0, 2 * np.pi, len(angle))
        wave: Reals = np.sin(2 * np.pi * along / period + phase)
        return wave

    def gratings(self, count: int) -> Reals:
        return self._wave(self._angles(count), self._each(4, 10, count))

    def bars(self, count: int) -> Reals:  # gratings with edges
        edges: Reals = np.sign(self.gratings(count))
        return edges

    def plaids(self, count: int) -> Reals:
        angle, period = self._angles(count), self._each(4, 10, count)
        return self._wave(angle, period) + self._wave(angle + np.pi / 2, period)

    def checks(self, count: int) -> Reals:
        angle, period = self._angles(count), self._each(6, 12, count)
        edges: Reals = np.sign(self._wave(angle, period) * self._wave(angle + np.pi / 2, period))
        return edges

    def beats(self, count: int, *, ratio: float) -> Reals:
        angle, period = self._angles(count), self._each(4, 7, count)
        return self._wave(angle, period) + self._wave(angle, period * ratio)

    def _away(self, low: float, high: float, count: int) -> Reals:
        """Return the squared distances of all pixels from a random point."""
        y, x = self._each(low, high, count), self._each(low, high, count)
        return (self._y - y) ** 2 + (self._x - x) ** 2

    def rings(self, count: int) -> Reals:
        distance = np.sqrt(self._away(-4, self._size + 4, count))
        phase = self._each(0, 2 * np.pi, count)
        wave: Reals = np.sin(2 * np.pi * distance / self._each(4, 10, count) + phase)
        return wave

    def dots(self, count: int) -> Reals:
        result = np.zeros((count, self._size, self._size))
        for _ in range(14):
            result[self._away(0, self._size, count) < self._each(1.5, 5, count)] = 1.0
        return result

    def noise(self, count: int, *, slope: float) -> Reals:
        white = np.fft.fft2(self._rng.standard_normal((count, self._size, self._size)))
        coloured: Reals = np.fft.ifft2(white / self._spectrum**slope).real
        return coloured
