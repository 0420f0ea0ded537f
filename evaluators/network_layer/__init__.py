"""Scores a layer between the convolutions of a network, which normalises and activates.

A candidate is a formula. The evaluator reads it and writes its own source from it, and the guest
code trains networks with that source. So the candidate's process runs no other code of the
candidate: a formula cannot tell a training from a test, reach the guest code, or keep anything. The
evaluator judges the images' scores by labels that never leave its process. It believes the norms of
the gradients, within bounds, because only the formula influences them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evolver import extras
from evolver.errors import CandidateOutputError, UsageError
from evolver.scoring import datasets, devices
from evolver.types import Candidate, Result

from .formula import MOMENTS, POINTWISE, read

Anchor = Literal["plain", "residual", "mobile"]

_ARGUMENTS = {"layer": 4, "activation": 2}
_FUNCTIONS = {"layer": {**POINTWISE, **MOMENTS}, "activation": POINTWISE}
_LARGEST = 1e30  # largest reported norm
_GRID = 30.0  # an activation must be finite from minus this to this
#: Results of known functions with the settings of the examples; see `baselines.py`.
STORED = Path(__file__).with_name("baselines.json")


@dataclass(frozen=True)
class Evaluator:
    """Trains small networks, the anchors, with a layer, or maximises their gradients.

    As `part` "layer", the candidate's function `layer(x, v, gamma, beta)` replaces a normalisation
    and the activation after it. x has the shape (batch, channels, height, width); v, gamma and beta
    are trained numbers for each channel, which start at 1, 1 and 0. As "activation",
    `activation(x, a)` follows a batch normalisation; a is a trained number for each place in the
    network, which starts at 0. A function has assignments and a return, + - * / **, numbers, and

    - max, min of two; sigmoid, tanh, erf, exp, log, abs, sqrt, square,
    - in a layer mean_AXES, std_AXES and rms_AXES: mean, standard deviation and root of the mean
      square of an image's channel ("wh"), of an image ("whc"), of a fourth of its channels
      ("group"), or of a channel over the batch ("bwh"). 1e-5 is added under the roots. A moment
      over the batch uses the batch in training and a running average in tests, so that the result
      for an image does not depend on other images.

    After Liu 2020 (EvoNorm, https://arxiv.org/abs/2004.02967). There the anchors are three large
    networks for CIFAR-10; here they are of three to five layers, for 8 x 8 pixels unless `data`
    says otherwise. In the ascent of "stability" a step is a tenth of each weight's norm long.

    Attributes:
        part: "layer" or "activation".
        protocol: "training", whose accuracy after few steps is also the paper's test of quality,
            or "stability": weights of the convolutions are changed so that the gradient grows.
        anchors: of "plain", "residual" and "mobile".
        steps: of a training, or of the ascent.
        batch: images of a step, or of the ascent.
        rates: peak learning rates to try. With a single rate, a search finds functions that scale
            the outputs up, which acts as a higher rate: 0.06 of accuracy with ReLU.
        seeds: trainings at each rate, or ascents, of each anchor.
        most_gradient: norm at which an ascent ends.
        data: "digits", "textures" or "cifar10"; new for each evaluation.
        counts: images to learn from, to score by, and for private metrics.
        path: folder of the files of "cifar10".
        device: "cpu" or "cuda".
        function: name of the candidate's function; empty for "layer" or "activation".
    """

    part: Literal["layer", "activation"] = "layer"
    protocol: Literal["training", "stability"] = "training"
    anchors: tuple[Anchor, ...] = ("plain", "residual", "mobile")
    steps: int = 200
    batch: int = 32
    rates: tuple[float, ...] = (0.15, 0.6)
    seeds: int = 1
    most_gradient: float = 1e8
    data: datasets.Name = "digits"
    counts: tuple[int, int, int] = (2000, 1000, 1000)
    path: str = ""
    device: devices.Device = "cpu"
    function: str = ""

    guest = "guest.py"

    def __post_init__(self) -> None:
        if not self.anchors:
            raise UsageError("anchors is empty; give one or more of plain, residual and mobile")
        if not self.rates or not min(self.rates) > 0:
            raise UsageError(f"rates is {list(self.rates)}; give one or more above 0")
        for name in ("steps", "batch", "seeds", "most_gradient"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be above 0")

    def check_host(self, gpus: Sequence[int]) -> None:
        """Check that the images and the device are available.

        Raises:
            UsageError: they are not.
        """
        devices.require(self.device, gpus)
        extras.require_modules("torch")
        datasets.require(self.data, self.path)

    def evaluate(self, candidate: Candidate) -> Result:
        """Return the metrics of the protocol.

        "training" gives `accuracy`, the share of the validation images that are classified
        correctly, as the mean over anchors and seeds; `worst`, that of the worst anchor; `loss`,
        the mean cross entropy in nats; and `rate`, the learning rate with the best accuracy, at
        which all these are measured. Private: `held_out_accuracy` and `held_out_loss`.
        "stability" gives `gradient`, the largest norm that the gradient of the loss with respect to
        the convolutions' weights reached; it may slightly exceed `most_gradient`.

        Raises:
            CandidateError: the function is not such a formula, or diverges at every rate.
        """
        source = self._read(candidate)
        if self.part == "activation":
            self._check_slopes(candidate, source)
        return (
            self._ascents(candidate, source)
            if self.protocol == "stability"
            else self._trainings(candidate, source)
        )

    def smoke(self, candidate: Candidate) -> None:
        """Check only that the function is a formula.

        Raises:
            CandidateOutputError: it is not.
        """
        self._read(candidate)

    def probe(self, candidate: Candidate) -> object:
        """Return values of the function for fixed random arguments: equal for equal functions.

        Raises:
            CandidateError: the function is not such a formula.
        """
        source = self._read(candidate)
        return candidate.call("guest:answer", self.part, source, 1, _ARGUMENTS[self.part] - 1)

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the results of known functions; empty for settings that were not measured."""
        stored = json.loads(STORED.read_text("utf-8")).get(self.part, {})
        if self.protocol != "training" or stored.get("settings") != self.measured:
            return {}
        return {f"{name}, here": [point] for name, point in stored["points"].items()}

    @property
    def measured(self) -> Mapping[str, Any]:
        """The settings that determine the accuracy of a function, as JSON values."""
        aside = ("protocol", "most_gradient", "path", "device", "function")
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in aside}
        found: Mapping[str, Any] = json.loads(json.dumps(named))
        return found

    def _read(self, candidate: Candidate) -> str:
        name = self.function or self.part
        return read(candidate, name, _ARGUMENTS[self.part], _FUNCTIONS[self.part])

    def _check_slopes(self, candidate: Candidate, source: str) -> None:
        """Raise CandidateOutputError if an activation or its derivative is not finite."""
        points = np.linspace(-_GRID, _GRID, 601, dtype=np.float32)
        for what, found in zip(
            ("value", "derivative"),
            _pair(candidate.call("guest:slopes", source, points)),
            strict=True,
        ):
            values = _numbers(found, points.shape, f"the {what}s")
            if not np.isfinite(values).all():
                where = points[~np.isfinite(values)][0]
                raise CandidateOutputError(f"its {what} at x = {where:.3g}, a = 0 is not finite")

    def _trainings(self, candidate: Candidate, source: str) -> Result:
        data = self._draw(candidate, self.counts)
        starts = [(anchor, candidate.rng.getrandbits(31)) for anchor in self._each_anchor]
        found: dict[float, NDArray[np.float64]] = {}
        for rate in self.rates:
            judged = []
            for anchor, seed in starts:
                returned = candidate.call(
                    "guest:train",
                    *(self.part, source, anchor, data.train.inputs, data.train.labels),
                    [data.validation.inputs, data.held_out.inputs],
                    steps=self.steps,
                    rate=rate,
                    batch=self.batch,
                    **self._common(data, seed),
                )
                judged.append(_judged(returned, data))
                if not np.isfinite(judged[-1]).all():
                    break
            else:
                found[rate] = np.array(judged)
        if not found:
            raise CandidateOutputError(
                f"the {anchor} anchor diverges within {self.steps} steps, at a learning rate of "
                f"{rate:g}: its outputs are not finite"
            )
        rate = max(found, key=lambda one: found[one][:, 0, 0].mean())
        (accuracy, loss), (held_out_accuracy, held_out_loss) = found[rate].mean(axis=0).tolist()
        by_anchor = found[rate][:, 0, 0].reshape(-1, self.seeds).mean(axis=1).tolist()
        return Result(
            {"accuracy": accuracy, "worst": min(by_anchor), "loss": loss, "rate": rate},
            {"held_out_accuracy": held_out_accuracy, "held_out_loss": held_out_loss},
            feedback=f"accuracy after {self.steps} steps at a learning rate of {rate:g}: "
            + ", ".join(
                f"{a} {value:.3f}" for a, value in zip(self.anchors, by_anchor, strict=True)
            ),
        )

    def _ascents(self, candidate: Candidate, source: str) -> Result:
        data = self._draw(candidate, (max(self.batch, 10), 10, 10))
        worst, texts = 0.0, []
        for anchor in self._each_anchor:
            returned = candidate.call(
                "guest:ascend",
                *(self.part, source, anchor),
                *(data.train.inputs[: self.batch], data.train.labels[: self.batch]),
                steps=self.steps,
                limit=self.most_gradient,
                **self._common(data, candidate.rng.getrandbits(31)),
            )
            norms = np.minimum(_norms(returned, self.steps), _LARGEST)
            worst = max(worst, float(norms.max()))
            texts.append(f"{anchor} from {norms[0]:.3g} to {norms.max():.3g} in {norms.size}")
        return Result(
            {"gradient": worst},
            feedback="norm of the gradient as weights are changed to make it grow: "
            + ", ".join(texts),
        )

    def _draw(self, candidate: Candidate, counts: Sequence[int]) -> datasets.Dataset:
        return datasets.draw(self.data, candidate.rng.getrandbits(63), counts, self.path)

    @property
    def _each_anchor(self) -> Sequence[Anchor]:
        return [anchor for anchor in self.anchors for _ in range(self.seeds)]

    def _common(self, data: datasets.Dataset, seed: int) -> Mapping[str, Any]:
        return {"classes": data.classes, "seed": seed, "device": self.device}


def _pair(returned: object) -> Sequence[object]:
    if not isinstance(returned, list | tuple) or len(returned) != 2:
        raise CandidateOutputError("the networks must give two arrays")
    return returned


def _numbers(value: object, shape: Sequence[int], what: str) -> NDArray[np.float64]:
    """Return an array of floats of a shape; they may be infinite or NaN."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.shape != tuple(shape):
        raise CandidateOutputError(f"{what} must be floats of the shape {tuple(shape)}")
    return value.astype(np.float64)


def _judged(returned: object, data: datasets.Dataset) -> NDArray[np.float64]:
    """Return accuracy and cross entropy, a row each for validation and held-out; NaN: diverged."""
    rows = []
    for found, part in zip(_pair(returned), (data.validation, data.held_out), strict=True):
        scores = _numbers(found, (len(part), data.classes), "the networks' outputs")
        if not np.isfinite(scores).all():
            return np.full((2, 2), np.nan)
        scores = scores - scores.max(axis=1, keepdims=True)
        logarithms = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        told = logarithms[np.arange(len(part)), part.labels]
        # An image counts as correct only if no other class has the same score.
        is_right = (scores >= 0).sum(axis=1) == 1
        is_right &= scores.argmax(axis=1) == part.labels
        rows.append((is_right.mean(), -told.mean()))
    return np.array(rows)


def _norms(value: object, most: int) -> NDArray[np.float64]:
    if not isinstance(value, np.ndarray) or value.ndim != 1 or not 1 <= value.size <= most:
        raise CandidateOutputError(f"the ascent must give 1 to {most} norms of gradients")
    norms = _numbers(value, value.shape, "norms of gradients")
    if not (norms >= 0).all():
        raise CandidateOutputError("norms of gradients must be 0 or more")
    return norms
