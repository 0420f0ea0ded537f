"""Scores what stands between the convolutions of a network: a layer that normalises and activates.

A candidate is a formula. It is read, and what was read is written down anew; only that goes to the
guest code, which trains networks with it. So although the training runs in the candidate's process,
nothing else of the candidate's does: a formula cannot tell a training from a test, reach the guest
code, or keep anything. Of what comes back, the images' scores are judged by labels that stay here.
The norms of the gradients are believed, within bounds, for they rest on the reading alone.
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
_LARGEST = 1e30  # a norm that is no number any more
_GRID = 30.0  # an activation is finite from minus this to this
#: What named functions reach here with the settings of the examples; see `baselines.py`.
STORED = Path(__file__).with_name("baselines.json")


@dataclass(frozen=True)
class Evaluator:
    """Trains small networks, the anchors, with a layer, or finds how steep they become.

    As `part` "layer", the candidate's function `layer(x, v, gamma, beta)` stands for a
    normalisation and the activation after it. x has the shape (batch, channels, height, width);
    v, gamma and beta are trained, one number for each channel, from 1, 1 and 0 on. As "activation",
    `activation(x, a)` follows a batch normalisation; a is one number for each place in the network,
    trained from 0 on. A function consists of assignments and a return, of + - * / **, numbers, and

    - max, min of two; sigmoid, tanh, erf, exp, log, abs, sqrt, square,
    - in a layer mean_AXES, std_AXES and rms_AXES: mean, standard deviation and root of the mean
      square of an image's channel ("wh"), of an image ("whc"), of a fourth of its channels
      ("group"), or of a channel over the batch ("bwh"). 1e-5 is added under the roots. Moments over
      the batch are those of the batch while a network learns, and their running averages when it
      is tested, so that no image's verdict hangs on others.

    After Liu 2020 (EvoNorm, https://arxiv.org/abs/2004.02967). There the anchors are three large
    networks for CIFAR-10; here they are of three to five layers, for 8 x 8 pixels unless `data`
    says otherwise. In the ascent of "stability" a step is a tenth of each weight's norm long.

    Attributes:
        part: "layer" or "activation".
        protocol: "training", whose accuracy after few steps is also the paper's test of quality,
            or "stability": weights of the convolutions are changed so that the gradient grows.
        anchors: of "plain", "residual" and "mobile".
        steps: of a training, or of the ascent.
        batch: images of a step, or those that the ascent is made on.
        rates: learning rates that are tried, at their peak. With one alone a search finds what
            stretches the outputs, which is to train faster: 0.06 of accuracy with ReLU.
        seeds: trainings at each rate, or ascents, of each anchor.
        most_gradient: an ascent ends beyond this.
        data: "digits", "textures" or "cifar10"; drawn anew for each evaluation.
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
            raise UsageError("anchors is empty; name one or more of plain, residual and mobile")
        if not self.rates or not min(self.rates) > 0:
            raise UsageError(f"rates is {list(self.rates)}; name one or more above 0")
        for name in ("steps", "batch", "seeds", "most_gradient"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be above 0")

    def check_host(self, gpus: Sequence[int]) -> None:
        """Check that the images and the device can be had here.

        Raises:
            UsageError: they cannot; the message says what to do.
        """
        devices.require(self.device, gpus)
        extras.require_modules("torch")
        datasets.require(self.data, self.path)

    def evaluate(self, candidate: Candidate) -> Result:
        """Return what the protocol measures.

        A training gives `accuracy`, the share of the validation images that are told rightly, its
        mean over anchors and seeds; `worst`, that of the worst anchor; `loss`, the mean cross
        entropy in nats; and `rate`, the learning rate, at which the accuracy is best and all these
        are taken. Private: `held_out_accuracy` and `held_out_loss`.
        Stability gives `gradient`, the largest norm that the gradient of the loss with respect to
        the convolutions' weights came to; it may be a little beyond `most_gradient`.

        Raises:
            CandidateError: the function is no such formula, or trains at no rate.
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
        """Check the form alone.

        Raises:
            CandidateOutputError: the function is no such formula.
        """
        self._read(candidate)

    def probe(self, candidate: Candidate) -> object:
        """Return values of the function for random arguments: those of the same function agree.

        Raises:
            CandidateError: the function is no such formula.
        """
        source = self._read(candidate)
        return candidate.call("guest:answer", self.part, source, 1, _ARGUMENTS[self.part] - 1)

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return what known functions reached here; empty for settings that were not measured."""
        stored = json.loads(STORED.read_text("utf-8")).get(self.part, {})
        if self.protocol != "training" or stored.get("settings") != self.measured:
            return {}
        return {f"{name}, here": [point] for name, point in stored["points"].items()}

    @property
    def measured(self) -> Mapping[str, Any]:
        """The settings that the accuracy of a function hangs on, as JSON knows them."""
        aside = ("protocol", "most_gradient", "path", "device", "function")
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in aside}
        found: Mapping[str, Any] = json.loads(json.dumps(named))
        return found

    def _read(self, candidate: Candidate) -> str:
        name = self.function or self.part
        return read(candidate, name, _ARGUMENTS[self.part], _FUNCTIONS[self.part])

    def _check_slopes(self, candidate: Candidate, source: str) -> None:
        """Raise CandidateOutputError where an activation or its derivative is not finite."""
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
        raise CandidateOutputError("two arrays are wanted of the networks")
    return returned


def _numbers(value: object, shape: Sequence[int], what: str) -> NDArray[np.float64]:
    """Return an array of floats of a shape, which need not be finite."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.shape != tuple(shape):
        raise CandidateOutputError(f"{what} must be floats of the shape {tuple(shape)}")
    return value.astype(np.float64)


def _judged(returned: object, data: datasets.Dataset) -> NDArray[np.float64]:
    """Return accuracy and cross entropy, in rows for validation and held-out; NaN: it diverged."""
    rows = []
    for found, part in zip(_pair(returned), (data.validation, data.held_out), strict=True):
        scores = _numbers(found, (len(part), data.classes), "the networks' outputs")
        if not np.isfinite(scores).all():
            return np.full((2, 2), np.nan)
        scores = scores - scores.max(axis=1, keepdims=True)
        logarithms = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        told = logarithms[np.arange(len(part)), part.labels]
        # A class is told where no other has as high a score: all the same is no answer.
        is_right = (scores >= 0).sum(axis=1) == 1
        is_right &= scores.argmax(axis=1) == part.labels
        rows.append((is_right.mean(), -told.mean()))
    return np.array(rows)


def _norms(value: object, most: int) -> NDArray[np.float64]:
    if not isinstance(value, np.ndarray) or value.ndim != 1 or not 1 <= value.size <= most:
        raise CandidateOutputError(f"1 to {most} norms of gradients are wanted")
    norms = _numbers(value, value.shape, "norms of gradients")
    if not (norms >= 0).all():
        raise CandidateOutputError("norms of gradients must be 0 or more")
    return norms
