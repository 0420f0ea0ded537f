"""Labelled images without a download, for evaluators that have a candidate learn something.

Draw the seed from `Candidate.rng`, for what it decides is a secret: which number stands for which
class and, of digits and textures, the images themselves, which are made anew. Those of CIFAR-10 are
only dealt and shuffled: a program that holds them, or a network that has learnt them, knows which
belong together. Give a candidate the training part and the inputs of the others, and keep their
labels where it cannot reach them; what is computed from `held_out` belongs into private metrics.
"""

from __future__ import annotations

import functools
import inspect
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evolver import extras
from evolver.errors import UsageError

Name = Literal["digits", "textures", "cifar10"]
Images = NDArray[np.float32]  # (n, channels, height, width)
Labels = NDArray[np.int64]  # (n,)
Reals = NDArray[np.float64]

_CIFAR10 = tuple(f"data_batch_{number}" for number in range(1, 6))


@dataclass(frozen=True, eq=False)
class Part:
    """Images and what they show.

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
        train: to learn from.
        validation: to score by.
        held_out: for private metrics only.
        classes: how many there are.
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


def require(name: Name, path: str = "") -> None:
    """Check that a dataset can be had here; an evaluator's `check_host` calls it.

    Args:
        name: of the dataset.
        path: the folder of its files, for those that have some; absolute, or from "~" on.

    Raises:
        UsageError: a package or a file is missing; the message says what to do.
    """
    if name == "digits":
        extras.require_modules("sklearn")
    if name == "cifar10":
        _cifar10_files(path)


def draw(name: Name, seed: int, counts: Sequence[int] = (), path: str = "") -> Dataset:
    """Return a dataset by its name.

    Args:
        name: "digits", "textures" or "cifar10".
        seed: a secret, see the function of that name.
        counts: images of the three parts; () for the function's own.
        path: the folder of the files of "cifar10".

    Raises:
        UsageError: as the function of that name, or `counts` are not three.
    """
    if counts and len(counts) != 3:
        raise UsageError(f"counts = {list(counts)}: give three, of the images of each part")
    if name == "cifar10":
        return cifar10(path, seed, *counts)
    return {"digits": digits, "textures": textures}[name](seed, *counts)


def counts(name: Name) -> tuple[int, int, int]:
    """Return how many images for training, validation and held-out a dataset has by itself."""
    makers: dict[Name, Callable[..., Dataset]] = {
        "digits": digits, "textures": textures, "cifar10": cifar10,
    }  # fmt: skip
    usual = inspect.signature(makers[name]).parameters
    return usual["train"].default, usual["validation"].default, usual["held_out"].default


def digits(seed: int, train: int = 2000, validation: int = 600, held_out: int = 600) -> Dataset:
    """Draw images (n, 1, 8, 8) of ten handwritten digits, made of scikit-learn's.

    Each image is a mixture of two of the 1,797 originals that show the same digit, turned, sheared,
    scaled and shifted by chance, with noise; its grey values follow a curve of the seed's, and so
    does which number stands for which digit. The originals are dealt to the three parts first, so
    that no two parts share one. So none is found again by its nearest original, and
    whoever has the originals has more examples to learn from, but no answers.

    Args:
        seed: a secret; the same one gives the same dataset.
        train: images in that part.
        validation: images in that part.
        held_out: images in that part.

    Raises:
        UsageError: scikit-learn is not installed, or a part is empty.
    """
    require("digits")
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

    return _assembled(rng, 10, (train, validation, held_out), make)


def _cuts(count: int) -> list[int]:
    """Return where to cut what is dealt to training, validation and held-out: 60, 20, 20 %."""
    return [round(0.6 * count), round(0.8 * count)]


@functools.cache
def _originals() -> tuple[Reals, NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images / 16.0, found.target.astype(np.int64)


def _warped(images: Reals, rng: np.random.Generator) -> Reals:
    """Turn, shear, scale and shift each image (n, s, s) by chance; outside it is 0."""
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


def textures(
    seed: int, train: int = 1500, validation: int = 500, held_out: int = 500, size: int = 32
) -> Dataset:
    """Draw images (n, 3, size, size) of ten textures: gratings, checks, rings, dots, noises.

    Colours, phases, directions, scales and contrast are drawn for each image and say nothing of
    its class, so that a network has to look at structure. Nearby classes differ by a number that
    the seed draws: the spectra of two noises, the ratio of two gratings.

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

    return _assembled(rng, len(makers), (train, validation, held_out), make)


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
        """Return the squared distances of all pixels from a point of chance."""
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


def cifar10(
    path: str, seed: int, train: int = 40_000, validation: int = 10_000, held_out: int = 10_000
) -> Dataset:
    """Read CIFAR-10, (n, 3, 32, 32), from its files for Python; nothing is fetched.

    Training and validation are dealt by the seed from the five training batches, held-out from the
    test batch. Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html.

    Args:
        path: the folder "cifar-10-batches-py", absolute or from "~" on.
        seed: a secret: it deals, shuffles, and says which number stands for which class.
        train: images in that part.
        validation: images in that part.
        held_out: images in that part.

    Raises:
        UsageError: the files are not there, are none, or hold fewer images of a class.
    """
    *batches, test = _cifar10_files(path)
    rng = np.random.default_rng(seed)
    learned = [_cifar10_batch(batch) for batch in batches]
    images = np.concatenate([one for one, _ in learned])
    shown = np.concatenate([other for _, other in learned])
    apart = _cifar10_batch(test)
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

    return _assembled(rng, 10, (train, validation, held_out), make)


def _shuffled(rng: np.random.Generator, shown: Labels) -> list[NDArray[np.intp]]:
    return [rng.permutation(np.flatnonzero(shown == name)) for name in range(10)]


def _cifar10_files(path: str) -> list[Path]:
    folder = Path(path).expanduser()
    if path and not folder.is_absolute():
        raise UsageError(
            f"path = '{path}' would hang on the folder that a run is started in: write the whole "
            "path of cifar-10-batches-py"
        )
    files = [folder / name for name in (*_CIFAR10, "test_batch")]
    missing = [file.name for file in files if not path or not file.is_file()]
    if missing:
        raise UsageError(
            f"there is no {missing[0]} in '{path}': set path to the folder cifar-10-batches-py of "
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz; nothing is fetched for you"
        )
    return files


class _Unpickler(pickle.Unpickler):
    """Reads arrays and plain values, and calls nothing else that a file may name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.split(".")[0], name) in {
            ("numpy", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"),
            ("_codecs", "encode"),
        }:  # fmt: skip
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _cifar10_batch(path: Path) -> tuple[NDArray[np.uint8], Labels]:
    try:
        with path.open("rb") as stream:
            batch = _Unpickler(stream, encoding="bytes").load()
        images = np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
        labels = np.asarray(batch[b"labels"], dtype=np.int64)
        if labels.shape != images.shape[:1] or not ((labels >= 0) & (labels < 10)).all():
            raise ValueError("labels that are none")
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is no batch of CIFAR-10 for Python: {error}") from None
    return images, labels


def _assembled(
    rng: np.random.Generator,
    classes: int,
    counts: tuple[int, int, int],
    make: Callable[[int, Labels, NDArray[np.int64]], Images],
) -> Dataset:
    """Make the three parts.

    Args:
        rng: the only source of chance.
        classes: how many there are.
        counts: images of each part.
        make: gets the number of a part, the labels of its images, and which class each label
            stands for; returns the images.
    """
    names = rng.permutation(classes)
    parts = []
    for number, count in enumerate(counts):
        if count < classes:
            raise UsageError(f"a part of {count} images is too small for {classes} classes")
        labels = rng.permutation(np.arange(count, dtype=np.int64) % classes)
        parts.append(Part(make(number, labels, names), labels))
    seen = parts[0].inputs
    mean = seen.mean(axis=(0, 2, 3), keepdims=True)
    deviation = seen.std(axis=(0, 2, 3), keepdims=True) + np.float32(1e-6)
    train, validation, held_out = (Part((p.inputs - mean) / deviation, p.labels) for p in parts)
    return Dataset(train, validation, held_out, classes)
