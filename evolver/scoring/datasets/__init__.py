"""Labelled images without a download, for evaluators of programs that learn.

Draw the seed from `Candidate.rng`: it must stay secret. It decides which number stands for which
class, and it makes new images of digits and textures. The images of CIFAR-10 are only dealt and
shuffled: a program that contains them, or a network that has learnt them, knows which belong
together. Give a candidate the training part and the inputs of the other parts. Keep the other
labels in the evaluator, and use `held_out` for private metrics only.
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
    """Check that a dataset is available here; an evaluator's `check_host` calls it.

    Args:
        name: of the dataset.
        path: the folder of its files, for "cifar10"; absolute, or from "~" on.

    Raises:
        UsageError: a package or a file is missing.
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
        counts: images of the three parts; () for the function's defaults.
        path: the folder of the files of "cifar10".

    Raises:
        UsageError: `counts` are not three, or the function of that name raises it.
    """
    if counts and len(counts) != 3:
        raise UsageError(f"counts = {list(counts)}: give three numbers, the images of each part")
    if name == "cifar10":
        return cifar10(path, seed, *counts)
    return {"digits": digits, "textures": textures}[name](seed, *counts)


def counts(name: Name) -> tuple[int, int, int]:
    """Return the default numbers of images for training, validation and held-out."""
    makers: dict[Name, Callable[..., Dataset]] = {
        "digits": digits, "textures": textures, "cifar10": cifar10,
    }  # fmt: skip
    usual = inspect.signature(makers[name]).parameters
    return usual["train"].default, usual["validation"].default, usual["held_out"].default
