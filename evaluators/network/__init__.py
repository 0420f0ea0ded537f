"""Scores networks that classify images: accuracy up, parameters down.

The setting of Morris 2024 (LLM Guided Evolution, https://arxiv.org/abs/2403.11446), with data that
need no download. A program builds a network and an optimiser; training is the guest's.

What counts as a parameter is measured, not asked for. Training returns the network as a list of
numbers, its process is killed, and a fresh one predicts from these numbers and the images alone.
Each is changed a little in between, by a secret, so that the digits of one cannot hold several. Its
exponent still can hold something: about 15 bits pass, which are two weights of seven bits to who
sets out to deceive.
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

#: A number is changed by up to this part of it. The seed's accuracy on 2,000 images of `digits`
#: changed by -0.1 to 0.35 points, and by as little with twice as much; four weights of six bits in
#: each number do not survive it.
_NOISE = 2.0**-7
#: Of the images that are asked about once more among images of one class alone, so many may get
#: another class: another batch is rounded in another way. Of 40 images of a class the seed changed
#: none, and with statistics of the batch at hand in its BatchNorms 17 to 37.
_CHANGED = 0.01
_CHANGED_LEAST = 2  # images, where these are few
_LARGEST = 1e38  # a number that is none any more


@dataclass(frozen=True)
class Trial:
    """What came of one training; accuracies in percent.

    Attributes:
        parameters: numbers that training handed on.
        accuracy: of validation images.
        held_out: accuracy of held-out images.
        learnt: accuracy of some of the images that it was trained on.
    """

    parameters: int
    accuracy: float
    held_out: float
    learnt: float


@dataclass(frozen=True)
class Evaluator:
    """Measures a network that was trained here, on images that it has not seen.

    The candidate has two functions. `build(channels, size, classes)` returns a `torch.nn.Module`
    that turns images (n, channels, size, size), float32, into scores (n, classes).
    `optimiser(parameters, steps)` returns a pair of what has `zero_grad()` and `step()`, and what
    has `step()` for the rate; each is stepped once a batch. The loss is the cross entropy.

    Images, labels and seeds are drawn anew for each training, so scores have a spread.

    Attributes:
        data: see `evolver.scoring.datasets`.
        path: the folder of CIFAR-10's files, for "cifar10".
        images: for training, validation and held-out; () for the dataset's own counts.
        epochs: passes over the training images.
        batch: images of a step.
        runs: trainings, whose accuracies are averaged.
        seconds: that one training may take; then it is killed.
        device: "cpu", or "cuda" for the first GPU that the sandbox gives.
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
            raise UsageError(f"images = {list(self.images)}: give three, for each part of the data")
        if min(self.epochs, self.batch, self.runs) < 1:
            raise UsageError("epochs, batch and runs must be 1 or more")
        counts = self.images or datasets.counts(self.data)
        if min(counts) < 10:
            raise UsageError(f"images = {list(counts)}: each part needs 10, one of each class")
        if self.batch > counts[0]:
            raise UsageError(
                f"batch = {self.batch} is more than the {counts[0]} images for training, so no "
                "step would be made"
            )

    def check_host(self, gpus: Sequence[int]) -> None:
        """Check that the data and the device are there.

        Raises:
            UsageError: they are not.
        """
        devices.require(self.device, gpus)
        extras.require_modules("torch")
        datasets.require(self.data, self.path)

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `accuracy`, of validation images, in percent, and `parameters`.

        Parameters are all the numbers that training hands on to prediction, buffers such as
        running means among them. `train_accuracy` shows what was learnt by heart. Private:
        `held_out_accuracy`.

        Raises:
            CandidateError: it cannot be trained in its time, or its predictions are none.
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
                f"{parameters} numbers recognise {each} of new images, and {learnt:.1f} % of those "
                "they were trained on"
            ),
        )

    def smoke(self, candidate: Candidate) -> None:
        """Build, train for a step and predict, on noise.

        Raises:
            CandidateError: one of these fails.
        """
        LANGUAGE.check(candidate.files)
        shape = (1, 8, 8) if self.data == "digits" else (3, 32, 32)
        noise = np.random.default_rng(0).standard_normal((4, *shape), np.float32)
        labels = np.arange(4)
        numbers = self._train(candidate, noise, labels, 10, epochs=1, batch=4)
        self._predict(candidate, numbers, noise, 10)

    def _trial(self, candidate: Candidate) -> Trial:
        """Train in the present process, which is fresh, and predict in two others."""
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
        # As many of each and mixed, so that nobody can tell which of them count.
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
                "the same images get other classes among other images: in evaluation (`eval()`) a "
                "network must look at each image by itself, and leave nothing to chance. So "
                "BatchNorm has to use its running statistics (track_running_stats=True), Dropout "
                "to end with training, and no score may hang on other images of the batch"
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
                "after training the network holds numbers that are not finite: the rate is too "
                "high, or something overflows"
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
