"""Data without a download: what its parts promise, and that the originals give no answers."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cifar10_files import write_cifar10

from evolver.errors import UsageError
from evolver.scoring import datasets
from evolver.scoring.datasets import Dataset

SMALL = (300, 100, 120)


@cache
def drawn(name: datasets.Name, seed: int = 1) -> Dataset:
    if name == "digits":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed here")
    return datasets.draw(name, seed, SMALL)


@pytest.mark.parametrize(("name", "shape"), [("digits", (1, 8, 8)), ("textures", (3, 32, 32))])
def test_parts_are_what_they_promise(name: datasets.Name, shape: tuple[int, ...]) -> None:
    dataset = drawn(name)
    parts = (dataset.train, dataset.validation, dataset.held_out)
    for part, count in zip(parts, SMALL, strict=True):
        assert part.inputs.shape == (count, *shape)
        assert part.inputs.dtype == np.float32
        assert part.labels.dtype == np.int64
        assert len(part) == count
        each = np.bincount(part.labels, minlength=dataset.classes)
        assert each.max() - each.min() <= 1
        assert (np.diff(part.labels) != 0).mean() > 0.5  # in no order that tells anything
    assert (dataset.channels, dataset.size) == (shape[0], shape[-1])
    np.testing.assert_allclose(dataset.train.inputs.mean(axis=(0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(dataset.train.inputs.std(axis=(0, 2, 3)), 1, atol=1e-3)
    images = np.concatenate([part.inputs for part in parts]).reshape(sum(SMALL), -1)
    assert len(np.unique(images, axis=0)) == sum(SMALL)


@pytest.mark.parametrize("name", ["digits", "textures"])
def test_a_seed_gives_one_dataset_and_another_seed_another(name: datasets.Name) -> None:
    one, same, other = drawn(name), datasets.draw(name, 1, SMALL), drawn(name, 2)
    assert (one.held_out.inputs == same.held_out.inputs).all()
    assert (one.held_out.labels == same.held_out.labels).all()
    assert (one.held_out.labels != other.held_out.labels).any()
    assert not np.isclose(one.train.inputs[0], other.train.inputs[0]).all()


def nearest(known: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the index of the nearest known image of each image."""
    known, images = (x.reshape(len(x), -1) for x in (known, images))
    return ((known**2).sum(axis=1) - 2 * images @ known.T).argmin(axis=1)  # type: ignore[no-any-return]


def linear(dataset: Dataset) -> float:
    """Return the accuracy of least squares, about the simplest that there is to learn."""
    features = [
        np.column_stack([part.inputs.reshape(len(part), -1), np.ones(len(part))])
        for part in (dataset.train, dataset.validation)
    ]
    wanted = np.eye(dataset.classes)[dataset.train.labels]
    gram = features[0].T @ features[0] + 10 * np.eye(features[0].shape[1])
    found = features[1] @ np.linalg.solve(gram, features[0].T @ wanted)
    return float((found.argmax(axis=1) == dataset.validation.labels).mean())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_installed_originals_give_no_answers(seed: int) -> None:
    load = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed here")
    dataset = datasets.digits(seed)
    found = load.load_digits()
    known = (found.images - found.images.mean()) / found.images.std()
    # What each digit is called is no secret to whoever has the training part and the originals.
    seen = found.target[nearest(known, dataset.train.inputs)]
    names = np.array(
        [
            np.bincount(dataset.train.labels[seen == digit], minlength=10).argmax()
            for digit in range(10)
        ]
    )
    assert len(set(names)) == 10
    looked_up = names[found.target[nearest(known, dataset.validation.inputs)]]
    accuracy = float((looked_up == dataset.validation.labels).mean())
    assert 0.5 < accuracy < linear(dataset) + 0.03


def test_no_two_parts_share_an_original() -> None:
    """A held-out image is no nearer to those of training than a validation image is."""
    dataset = drawn("digits")

    def distance(part: datasets.Part) -> float:
        known = dataset.train.inputs[nearest(dataset.train.inputs, part.inputs)]
        return float(np.linalg.norm((known - part.inputs).reshape(len(part), -1), axis=1).mean())

    assert distance(dataset.held_out) == pytest.approx(distance(dataset.validation), rel=0.1)


def test_textures_need_more_than_their_pixels() -> None:
    """Neither colours nor pixels say what they are, but their spectra do."""
    dataset = datasets.textures(3, size=16)

    def spectra(part: datasets.Part) -> datasets.Part:
        power = np.log1p(np.abs(np.fft.fft2(part.inputs))).mean(axis=1, keepdims=True)
        return datasets.Part(power.astype(np.float32), part.labels)

    colours = [
        datasets.Part(part.inputs.mean(axis=(2, 3), keepdims=True), part.labels)
        for part in (dataset.train, dataset.validation, dataset.held_out)
    ]
    assert linear(Dataset(*colours, 10)) < 0.2
    assert linear(dataset) < 0.2
    powers = Dataset(*map(spectra, (dataset.train, dataset.validation, dataset.held_out)), 10)
    assert linear(powers) > 0.3


def test_cifar10_is_read_from_its_files(tmp_path: Path) -> None:
    folder = write_cifar10(tmp_path)
    dataset = datasets.draw("cifar10", 1, (70, 30, 20), str(folder))
    parts = (dataset.train, dataset.validation, dataset.held_out)
    assert [part.inputs.shape for part in parts] == [(n, 3, 32, 32) for n in (70, 30, 20)]
    images = np.concatenate([part.inputs for part in parts]).reshape(120, -1)
    assert len(np.unique(images, axis=0)) == 120
    # Each class has a name of its own, the same one in all three parts.
    batch = pickle.loads((folder / "test_batch").read_bytes(), encoding="bytes")
    raw = batch[b"data"].reshape(-1, 3, 32, 32).astype(np.float32)
    scaled = (raw - raw.mean()) / raw.std()
    names = dataset.held_out.labels[nearest(dataset.held_out.inputs, scaled)]
    pairs = set(zip(names.tolist(), batch[b"labels"], strict=True))
    assert len(pairs) == 10
    assert (datasets.cifar10(str(folder), 2, 70, 30, 20).train.labels != dataset.train.labels).any()


def broken(content: object) -> Callable[[Path], None]:
    return lambda folder: (folder / "data_batch_3").write_bytes(pickle.dumps(content)) and None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "data_batch_2").unlink(), "there is no data_batch_2"),
        (
            lambda folder: (folder / "data_batch_3").write_bytes(b"no pickle"),
            "no batch of CIFAR-10",
        ),
        (broken({b"data": np.zeros((2, 7), np.uint8), b"labels": [1, 2]}), "no batch of CIFAR-10"),
        (broken({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 12]}), "malformed labels"),
        (broken(print), "it refers to builtins.print"),
    ],
)
def test_files_that_are_no_cifar10_are_refused(
    tmp_path: Path, damage: Callable[[Path], Any], reason: str
) -> None:
    damage(write_cifar10(tmp_path))
    with pytest.raises(UsageError, match=reason):
        datasets.cifar10(str(tmp_path), 1, 70, 30, 20)


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not download"):
        datasets.require("cifar10", str(tmp_path))
    with pytest.raises(UsageError, match="does not download"):
        datasets.require("cifar10")
    with pytest.raises(UsageError, match="depends on the working directory"):
        datasets.require("cifar10", "cifar-10-batches-py")
    with pytest.raises(UsageError, match="too few images of class"):
        datasets.cifar10(str(write_cifar10(tmp_path)), 1, 90, 30, 20)
    with pytest.raises(UsageError, match="too small for 10 classes"):
        datasets.textures(1, 20, 9, 20)
    with pytest.raises(UsageError, match="give three"):
        datasets.draw("textures", 1, (3, 4))


@pytest.mark.parametrize("name", ["digits", "textures", "cifar10"])
def test_counts_are_those_of_the_function(name: datasets.Name) -> None:
    train, validation, held_out = datasets.counts(name)
    assert train > validation == held_out
    if name == "textures":
        drawn = datasets.textures(1)
        assert (train, validation, held_out) == tuple(
            map(len, (drawn.train, drawn.validation, drawn.held_out))
        )
