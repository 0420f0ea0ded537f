"""Scores optimisers by the networks that they train: the search for Lion, with its funnel.

The training runs here. The candidate's function is all that runs in the candidate's process: it is
sent gradients, and what comes back are updates, and its two buffers every so many steps. Images,
labels and seeds never go there, and no weights or losses that are claimed there are believed: there
is nothing to forge. After each stretch of steps the process is killed, so that only the buffers
outlive it. One stretch, drawn in secret, is computed once more, for one seed, in other processes.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count as counter
from pathlib import Path
from random import Random

import numpy as np

from evolver.errors import CandidateOutputError, UsageError
from evolver.scoring import datasets
from evolver.types import Candidate, Result

from . import guest
from .course import Array, Course, Stretch
from .known.adamw import train as adamw
from .language import LANGUAGE

_MEASURED = Path(__file__).with_name("measured.csv")
_TITLES = {
    "adamw": "AdamW, without the correction of bias",
    "lion": "Lion",
    "sgd": "gradient descent with momentum",
    "sign": "signSGD",
}
#: Settings of the measurements of known optimisers, whose own rates are on a finer grid.
_SETTINGS = ("hidden", "steps", "batch", "noise", "rates")
_OFF = 0.01  # of the distance that weights move in a stretch; rounding is 10**-6 of it


@dataclass(frozen=True)
class Evaluator:
    """Measures how well an optimiser trains a network, against AdamW.

    The candidate's function `train(w, g, m, v, lr) -> update, m, v` gets the weights and biases of
    a layer, an array of float32, their gradient, two buffers of the same shape, at first zero, and
    the learning rate, which falls from its peak to zero along a cosine. The evaluator subtracts
    `update` from w; the function gets the buffers back at the next step. It is called for each
    layer and each step. The networks are perceptrons with rectified linear units; the images are
    handwritten digits of 8 x 8 pixels under a secret rotation of the space of images, with secret
    labels. The starting weights and the batches are secret too, and new for each evaluation. AdamW
    without bias correction (Loshchilov 2019, https://arxiv.org/abs/1711.05101) trains the same
    networks with the same batches. Each uses its best learning rate. After Chen 2023,
    https://arxiv.org/abs/2302.06675, who found Lion this way, in a funnel of growing networks.

    Attributes:
        hidden: widths of the hidden layers.
        steps: of a training.
        rates: peak learning rates to try.
        seeds: trainings with each rate.
        batch: images of a step.
        noise: standard deviation of the noise on an image at each use; that of images is about 1.
        confirm_seeds: trainings with each rate when the best programs are measured again.
        function: name of the candidate's function.
    """

    hidden: tuple[int, ...] = (32,)
    steps: int = 200
    rates: tuple[float, ...] = (0.003, 0.006, 0.012, 0.024)
    seeds: int = 4
    batch: int = 64
    noise: float = 0.7
    confirm_seeds: int = 8
    function: str = "train"

    guest = "guest.py"

    def __post_init__(self) -> None:
        if not self.rates or min(self.rates) <= 0:
            raise UsageError(f"rates is {list(self.rates)}; give one or more above 0")
        counts = {"steps": self.steps, "seeds": self.seeds, "batch": self.batch}
        counts |= {"confirm_seeds": self.confirm_seeds, "hidden": min(self.hidden, default=1)}
        for name, count in counts.items():
            if count < 1:
                raise UsageError(f"{name} is {count}; it must be 1 or more")

    def check_host(self, gpus: Sequence[int]) -> None:
        """Check that the images are available.

        Raises:
            UsageError: scikit-learn is not installed.
        """
        datasets.require("digits")

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `gained`: how much lower the loss is than AdamW's, in percent, and `loss`.

        The loss is the geometric mean over the seeds of the cross entropy in nats on validation
        images, at the learning rate with the least mean. `rate` is that learning rate. Private:
        `held_out_gained` and `held_out_loss`, the same on other images at that rate.

        Raises:
            CandidateError: the function is malformed, keeps something between two calls, or
                diverges at every learning rate.
        """
        LANGUAGE.check(candidate.files)
        course = self.course(candidate.rng)
        ours = course.losses(self.trained(candidate, course)).mean()
        theirs = course.losses(course.taken_by(adamw)).mean()
        best, other = int(ours.validation.argmin()), int(theirs.validation.argmin())
        if not math.isfinite(ours.validation[best] + ours.held_out[best]):
            raise CandidateOutputError(
                "the networks diverged at every learning rate; make the updates smaller"
            )
        each = zip(self.rates, ours.validation, theirs.validation, strict=True)
        return Result(
            {
                "gained": _gain(ours.validation[best], theirs.validation[other]),
                "loss": math.exp(ours.validation[best]),
                "rate": self.rates[best],
            },
            {
                "held_out_gained": _gain(ours.held_out[best], theirs.held_out[other]),
                "held_out_loss": math.exp(ours.held_out[best]),
            },
            feedback="loss at each learning rate, with AdamW's: "
            + ", ".join(f"{r:g} {np.exp(own):.4g} ({np.exp(adam):.4g})" for r, own, adam in each),
        )

    def confirm(self, candidate: Candidate) -> Result:
        """Return the same over `confirm_seeds`: the best of many results is biased upwards.

        Raises:
            CandidateError: as in `evaluate`.
        """
        return replace(self, seeds=self.confirm_seeds).evaluate(candidate)

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the gains of known optimisers on these networks, by `benchmarks/funnel.py`.

        There are no published values for these networks. Empty for settings that were not measured.
        """
        with _MEASURED.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        own = {name: _text(getattr(self, name)) for name in _SETTINGS}
        return {
            _TITLES[row["optimiser"]]: [{"gained": float(row["gained"])}]
            for row in rows
            if own.items() <= row.items()
        }

    def probe(self, candidate: Candidate) -> object:
        """Return updates and buffers for fixed arrays: equal for programs that compute the same.

        Raises:
            CandidateError: the function is malformed.
        """
        rng = np.random.default_rng(1)
        widths = (7, 5, 3)
        arrays = rng.normal(size=(4, 3, sum(m * n for m, n in guest.shapes(widths))))
        arrays[3] **= 2  # a second moment is positive
        given = [array.astype(np.float32) for array in arrays]
        weights, found, *buffers = given
        candidate.call("guest:begin", self.function, widths, weights, *buffers)
        updates = candidate.call("guest:step", found, [0.003, 0.01, 1.0])
        if isinstance(updates, str):
            raise CandidateOutputError(f"the optimiser's answer is not usable: {updates}")
        shape = weights.shape
        return _checked((updates, *_checked(candidate.call("guest:buffers"), 2, shape)), 3, shape)

    def course(self, rng: Random) -> Course:
        """Draw the networks and the data of an evaluation."""
        return Course.drawn(
            np.random.default_rng(rng.getrandbits(63)),
            hidden=self.hidden,
            steps=self.steps,
            rates=self.rates,
            seeds=self.seeds,
            batch=self.batch,
            noise=self.noise,
        )

    def trained(self, candidate: Candidate, course: Course) -> Array:
        """Train the networks by the candidate's updates; return their weights.

        The candidate returns only updates and buffers, in a process that lives for one stretch: a
        program that looks outside its function finds no image, no label and no later weights. It
        may still find the gradients of the other networks, and what it kept within the stretch. A
        program that uses these in a share x of the stretches is refused with probability x: one
        secret stretch is computed again without them.

        Raises:
            CandidateError: the second computation differs, or the function is malformed.
        """
        chosen = candidate.rng.randrange(len(course.stretches))
        training = guest.Training(*course.arguments)
        asked = Asked(candidate, self.function, training)
        for number, stretch in enumerate(course.stretches):
            before = training.weights.copy(), *asked.buffers
            asked.begin(training.weights)
            training.advance(asked, *stretch)
            asked.end()
            if number == chosen:
                self._check(candidate, course, stretch, before, training.weights)
        weights: Array = training.weights
        return weights

    def _check(
        self,
        candidate: Candidate,
        course: Course,
        stretch: Stretch,
        before: Sequence[Array],
        after: Array,
    ) -> None:
        """Raise CandidateOutputError if a stretch, computed again, leads to other weights.

        Only the networks of one seed are trained, with the rates in another order, and the process
        is replaced in the middle.
        """
        widths, _, rates, *rest = course.arguments
        seed = candidate.rng.randrange(len(stretch.seeds))
        one = slice(seed * len(rates), (seed + 1) * len(rates))
        weights, *buffers = (array[one][::-1] for array in before)
        training = guest.Training(widths, weights, rates[::-1], *rest)
        asked = Asked(candidate, self.function, training, buffers)
        cut = candidate.rng.randrange(1, max(2, len(stretch.factors)))
        asked.begin(training.weights)
        steps = counter()

        def step(weights: Array, found: Array, rates: Sequence[float]) -> Array:
            if next(steps) == cut:
                asked.end()
                asked.begin(weights)
            return asked(weights, found, rates)

        training.advance(step, [stretch.seeds[seed]], stretch.factors)
        with np.errstate(all="ignore"):
            way = np.linalg.norm(after[one][::-1] - weights, axis=1)
            off = np.linalg.norm(after[one][::-1] - training.weights, axis=1)
        finite = np.isfinite(way)  # else the network has diverged
        if not (off <= _OFF * way)[finite].all():
            raise CandidateOutputError(
                "the same steps, computed again, lead to other weights: the update must depend on "
                "w, g, m, v and lr alone; use no random numbers, and keep nothing between two "
                "calls but the returned m and v"
            )


class Asked:
    """The candidate's optimiser, which gives the updates of networks in training.

    Attributes:
        buffers: two for the weights of each network, (networks, weights), since the last `end`.
    """

    def __init__(
        self,
        candidate: Candidate,
        function: str,
        training: guest.Training,
        buffers: Sequence[Array] = (),
    ) -> None:
        self.buffers = list(buffers) or [np.zeros_like(training.weights)] * 2
        self._candidate = candidate
        self._function = function
        self._widths = training.widths

    def begin(self, weights: Array) -> None:
        """Start a fresh process with the weights and the buffers."""
        self._candidate.restart()
        self._candidate.call("guest:begin", self._function, self._widths, weights, *self.buffers)

    def __call__(self, weights: Array, found: Array, rates: Sequence[float]) -> Array:
        """Return what to subtract from the weights, of which the process has a copy.

        Raises:
            CandidateError: the function is malformed.
        """
        returned = self._candidate.call("guest:step", found, rates)
        if isinstance(returned, str):
            raise CandidateOutputError(f"the optimiser's answer is not usable: {returned}")
        (update,) = _checked((returned,), 1, weights.shape)
        return update

    def end(self) -> None:
        """Fetch the buffers."""
        returned = self._candidate.call("guest:buffers")
        self.buffers = _checked(returned, 2, self.buffers[0].shape)


def _checked(returned: object, number: int, shape: tuple[int, ...]) -> list[Array]:
    """Return the arrays of the guest code, or raise CandidateOutputError."""
    if not isinstance(returned, tuple | list) or len(returned) != number:
        raise CandidateOutputError(f"there must be {number} arrays")
    for array in returned:
        if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.shape != shape:
            raise CandidateOutputError(
                f"updates and buffers must be float32 of the weights' shape, {shape}"
            )
    return list(returned)


def _gain(ours: float, theirs: float) -> float:
    """Return by how many percent a loss is lower, from logarithms."""
    return 100 * (1 - math.exp(ours - theirs))


def _text(value: object) -> str:
    """Return a setting as it stands in the table."""
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
