"""Labelled images without a download, for evaluators that have a candidate learn something.

Draw the seed from `Candidate.rng`, for what it decides is a secret: which number stands for which
class and, of digits and textures, the images themselves, which are made anew. Those of CIFAR-10 are
only dealt and shuffled: a program that holds them, or a network that has learnt them, knows which
belong together. Give a candidate the training part and the inputs of the others, and keep their
labels where it cannot reach them; what is computed from `held_out` belongs into private metrics.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Literal

from evolver import extras
from evolver.errors import UsageError
from evolver.scoring.datasets.cifar10_files import cifar10, find
from evolver.scoring.datasets.digit_images import digits
from evolver.scoring.datasets.parts import Dataset, Images, Labels, Part
from evolver.scoring.datasets.texture_images import textures

__all__ = [
    "Dataset", "Images", "Labels", "Name", "Part", "cifar10", "counts", "digits", "draw",
    "require", "textures",
]  # fmt: skip

Name = Literal["digits", "textures", "cifar10"]


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
        find(path)


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
