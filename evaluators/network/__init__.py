"""Scores networks that classify images: accuracy up, parameters down.

The setting of Morris 2024 (LLM Guided Evolution, https://arxiv.org/abs/2403.11446), with data that
need no download. A program builds a network and an optimiser; guest code trains.

The evaluator measures the number of parameters. Training returns the network as a list of numbers,
its process is killed, and a fresh one predicts from these numbers and the images alone. A small
secret change of each number in between keeps its digits from holding several weights. The exponent
can still hold some: about 15 bits pass, which are two weights of seven bits for a program that sets
out to deceive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolver import extras
from evolver.errors import CandidateOutputError, UsageError
from evolver.scoring import datasets, devices, verify
from evolver.types import Candidate, Result

from .language import LANGUAGE

#: Each number changes by up to this share of it. The seed's accuracy on 2,000 images of `digits`
#: changed by -0.1 to 0.35 points, and by as little with twice this share; it destroys four weights
#: of six bits in one number.
_NOISE = 2.0**-7
#: Share of images that may get another class when they are classified again among images of one
#: class: rounding depends on the batch. Of 40 images of a class the seed changed none, and with
#: BatchNorm on the statistics of the batch 17 to 37.
_CHANGED = 0.01
_CHANGED_LEAST = 2  # images that may change in any case
_LARGEST = 1e38  # a number from here on counts as not finite


@dataclass(frozen=True)
class Trial:
    """The result of one training; accuracies in percent.

    Attributes:
        parameters: numbers that training passed to prediction.
        accuracy: on validation images.
        held_out: accuracy on held-out images.
        learnt: accuracy on some of the training images.
    """

    parameters: int
    accuracy: float
    held_out: float
    learnt: float


@dataclass(frozen=True)
class Evaluator:
    """Trains a network, and measures it on new images.

    The candidate has two functions. `build(channels, size, classes)` returns a `torch.nn.Module`
    that turns images (n, channels, size, size), float32, into scores (n, classes).
    `optimiser(parameters, steps)` returns a pair: an optimiser with `zero_grad()` and `step()`, and
    a schedule of the rate with `step()`; both step once a batch. The loss is the cross entropy.

    Images, labels and seeds are new for each training, so scores have a spread.

    Attributes:
        data: see `evolver.scoring.datasets`.
        path: the folder of CIFAR-10's files, for "cifar10".
        images: for training, validation and held-out; () for the dataset's defaults.
        epochs: passes over the training images.
        batch: images of a step.
        runs: trainings, whose accuracies are averaged.
        seconds: after which a training is killed.
        device: "cpu", or "cuda" for the first GPU of the sandbox.
    """

    data: datasets.Name = "digits"
    path: str = ""
    images: tuple[int, ...] = ()
    epochs: int = 6
    batch: int = 50
    runs: int = 2
    seconds: float = 60.0
    device: devices.Device = "cpu"

    guest = "guest.py"

    def __post_init__(self) -> None:
        if self.images and len(self.images) != 3:
            raise UsageError(
                f"images = {list(self.images)}: give three numbers, one for each part of the data"
            )
        if min(self.epochs, self.batch, self.runs) < 1:
            raise UsageError("epochs, batch and runs must be 1 or more")
        counts = self.images or datasets.counts(self.data)
        if min(counts) < 10:
            raise UsageError(
                f"images = {list(counts)}: each part needs at least 10, one of each class"
            )
        if self.batch > counts[0]:
            raise UsageError(
                f"batch = {self.batch} exceeds the {counts[0]} images for training; make it smaller"
            )

    def check_host(self, gpus: Sequence[int]) -> None:
        """Check that the data and the device are available.

        Raises:
            UsageError: they are not.
        """
        devices.require(self.device, gpus)
        extras.require_modules("torch")
        datasets.require(self.data, self.path)

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `accuracy`, of validation images, in percent, and `parameters`.

        Parameters are all numbers that training passes to prediction, including buffers such as
        running means. `train_accuracy` shows overfitting. Private: `held_out_accuracy`.

        Raises:
            CandidateError: training fails or takes too long, or the predictions are invalid.
        """
        LANGUAGE.check(candidate.files)
        trials = []
        for run in range(self.runs):
            if run:
                candidate.restart()
            trials.append(self._trial(candidate))
        accuracy, learnt, held_out = (
            float(np.mean([getattr(trial, part) for trial in trials]))
            for part in ("accuracy", "learnt", "held_out")
        )
        parameters = max(trial.parameters for trial in trials)
        each = ", ".join(f"{trial.accuracy:.1f} %" for trial in trials)
        return Result(
            {
                "accuracy": accuracy,
                "parameters": float(parameters),
                "train_accuracy": learnt,
            },
            {"held_out_accuracy": held_out},
            feedback=(
                f"{parameters} numbers recognise {each} of new images, and {learnt:.1f} % of the "
                "training images"
            ),
        )

    def smoke(self, candidate: Candidate) -> None:
        """Build, train for a step and predict, on noise.

        Raises:
            CandidateError: one of these steps fails.
        """
        LANGUAGE.check(candidate.files)
        shape = (1, 8, 8) if self.data == "digits" else (3, 32, 32)
        noise = np.random.default_rng(0).standard_normal((4, *shape), np.float32)
        labels = np.arange(4)
        numbers = self._train(candidate, noise, labels, 10, epochs=1, batch=4)
        self._predict(candidate, numbers, noise, 10)

    def _trial(self, candidate: Candidate) -> Trial:
        """Train in the present, fresh process, and predict in two other ones."""
        seed = candidate.rng.getrandbits(63)
        dataset = datasets.draw(self.data, seed, self.images, self.path)
        rng = np.random.default_rng(candidate.rng.getrandbits(63))
        train = dataset.train
        numbers = self._train(
            candidate, train.inputs, train.labels, dataset.classes, self.epochs, self.batch
        )
        numbers *= (1 + _NOISE * rng.uniform(-1, 1, len(numbers))).astype(np.float32)
        candidate.restart()
        parts = (dataset.validation, dataset.held_out, train)
        # The same number of each part, mixed, so that the candidate cannot tell which ones count.
        shown = [part.inputs[: len(dataset.validation)] for part in parts]
        mixed = rng.permutation(sum(map(len, shown)))
        asked = np.concatenate(shown)[mixed]
        answers = self._predict(candidate, numbers, asked, dataset.classes)
        found = np.empty(len(mixed), dtype=np.int64)
        found[mixed] = answers
        candidate.restart()
        labels = np.concatenate(
            [part.labels[: len(one)] for part, one in zip(parts, shown, strict=True)]
        )
        alike = rng.permutation(np.flatnonzero(labels[mixed] == rng.integers(dataset.classes)))
        again = self._predict(candidate, numbers, asked[alike], dataset.classes)
        if (again != answers[alike]).sum() > max(_CHANGED_LEAST, _CHANGED * len(alike)):
            raise CandidateOutputError(
                "the same images get other classes among other images: in evaluation (`eval()`) "
                "scores must not depend on other images of the batch, nor on chance. Use running "
                "statistics in BatchNorm (track_running_stats=True), and Dropout in training only"
            )
        ends = np.cumsum([len(one) for one in shown])[:-1]
        validation, held_out, learnt = (
            100.0 * float((answered == part.labels[: len(answered)]).mean())
            for part, answered in zip(parts, np.split(found, ends), strict=True)
        )
        return Trial(len(numbers), validation, held_out, learnt)

    def _train(
        self,
        candidate: Candidate,
        inputs: datasets.Images,
        labels: datasets.Labels,
        classes: int,
        epochs: int,
        batch: int,
    ) -> NDArray[np.float32]:
        numbers: Any = candidate.call(
            "guest:train",
            inputs,
            labels,
            classes,
            epochs,
            batch,
            candidate.rng.getrandbits(63),
            self.device,
            timeout=self.seconds,
        )
        if not isinstance(numbers, np.ndarray) or numbers.dtype != np.float32 or numbers.ndim != 1:
            raise CandidateOutputError("training must return one list of float32 numbers")
        if not (np.abs(numbers) < _LARGEST).all():
            raise CandidateOutputError(
                "after training the network has numbers that are not finite: lower the learning "
                "rate, or remove an overflow"
            )
        return numbers.copy()

    def _predict(
        self,
        candidate: Candidate,
        numbers: NDArray[np.float32],
        inputs: datasets.Images,
        classes: int,
    ) -> NDArray[np.int64]:
        found = candidate.call(
            "guest:predict", numbers, inputs, classes, candidate.rng.getrandbits(63), self.device,
            timeout=self.seconds,
        )  # fmt: skip
        return verify.integers(found, [len(inputs)], "the predictions").astype(np.int64)
