"""Scores optimisers by the networks that they train: the search for Lion, with its funnel.

The training runs in the candidate's process, by guest code, in stretches of some steps. What comes
back after each are the weights and the optimiser's buffers. One stretch, chosen in secret, is then
computed once more: the gradients here, each update by the candidate's function alone, in a fresh
process and given nothing but its arguments. So whatever else was done to the weights, and whatever
was kept anywhere but in the two buffers, does not come out again. The loss is computed here, on
images that never go where the candidate is.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np

from evolver import datasets
from evolver.errors import CandidateOutputError, UsageError
from evolver.types import Candidate, Result

from . import guest, reading
from .course import Array, Course, Stretch
from .known.adamw import train as adamw

_MEASURED = Path(__file__).with_name("measured.csv")
_TITLES = {
    "adamw": "AdamW, without the correction of bias",
    "lion": "Lion",
    "sgd": "gradient descent with momentum",
    "sign": "signSGD",
}
_OFF = 0.01  # of the way that the weights went in a stretch; rounding is 10**-6 of it


@dataclass(frozen=True)
class Evaluator:
    """Measures how well an optimiser trains a network, against AdamW.

    The candidate's function `train(w, g, m, v, lr) -> update, m, v` gets the weights and biases of
    a layer, an array of float32, their gradient, two buffers of the same shape, at first zero, and
    the learning rate, which falls from its peak to zero along a cosine. What is subtracted from w
    is `update`; the buffers come back at the next step. It is called for each layer and each step.
    The networks are perceptrons of rectified linear units, the images handwritten digits of 8 x 8
    pixels, turned by a secret rotation in the space of images, with secret labels; the starting
    weights and the batches are secret as well, and new for each evaluation. AdamW without the
    correction of bias (Loshchilov 2019, https://arxiv.org/abs/1711.05101) trains the same networks
    with the same batches. Each has the best of the learning rates. After Chen 2023,
    https://arxiv.org/abs/2302.06675, who found Lion by it, in a funnel of growing networks.

    Attributes:
        hidden: widths of the hidden layers.
        steps: of a training.
        rates: learning rates that are tried, at their peak.
        seeds: trainings with each.
        batch: images of a step.
        noise: deviation of what is added to an image each time it is used; theirs is about 1.
        confirm_seeds: trainings with each where the best programs are measured again.
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
            raise UsageError(f"rates is {list(self.rates)}; name one or more above 0")
        counts = {"steps": self.steps, "seeds": self.seeds, "batch": self.batch}
        counts |= {"confirm_seeds": self.confirm_seeds, "hidden": min(self.hidden, default=1)}
        for name, count in counts.items():
            if count < 1:
                raise UsageError(f"{name} is {count}; it must be 1 or more")

    def check_host(self, gpus: Sequence[int]) -> None:
        """Check that the images can be made here.

        Raises:
            UsageError: scikit-learn is not installed.
        """
        datasets.require("digits")

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `gained`: how much lower the loss is than AdamW's, in percent, and `loss`.

        The loss is the cross entropy in nats on the images of the validation part, its geometric
        mean over the seeds at the learning rate where that is least. `rate` is that learning
        rate. Private: `held_out_gained` and `held_out_loss`, the same on other images at that rate.

        Raises:
            CandidateError: the function is none of the form, keeps something between two calls,
                or trains at no learning rate.
        """
        for path, content in candidate.files.items():
            if path.endswith(".py"):
                reading.check(content)
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
        """Return what `evaluate` returns, over `confirm_seeds`: the best of many was lucky too.

        Raises:
            CandidateError: as `evaluate` does.
        """
        return replace(self, seeds=self.confirm_seeds).evaluate(candidate)

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return what known optimisers gain on these networks, as `benchmarks/funnel.py` measured.

        No published value is of these networks.
        """
        with _MEASURED.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        own = " ".join(map(str, self.hidden)), str(self.steps), str(self.batch)
        return {
            _TITLES[row["optimiser"]]: [{"gained": float(row["gained"])}]
            for row in rows
            if (row["hidden"], row["steps"], row["batch"]) == own
        }

    def probe(self, candidate: Candidate) -> object:
        """Return updates and buffers on fixed arrays: programs that give the same score the same.

        Raises:
            CandidateError: the function is none of the form.
        """
        rng = np.random.default_rng(1)
        widths = (7, 5, 3)
        arrays = rng.normal(size=(4, 3, sum(m * n for m, n in guest.shapes(widths))))
        arrays[3] **= 2  # what it is where it is of use; where it is not, any will do
        given = [array.astype(np.float32) for array in arrays]
        return _checked(
            candidate.call("guest:answer", self.function, widths, *given, [0.003, 0.01, 1.0])
        )

    def course(self, rng: Random) -> Course:
        """Draw what an evaluation trains, and on what."""
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
        """Have the networks trained; return their weights, of which a stretch was computed again.

        Raises:
            CandidateError: it came out differently, or the function is none of the form.
        """
        chosen = candidate.rng.randrange(len(course.stretches))
        state = [course.weights, *np.zeros((2, *course.weights.shape), np.float32)]
        candidate.call("guest:start", self.function, *course.arguments)
        for number, stretch in enumerate(course.stretches):
            before = state
            returned = candidate.call("guest:advance", *stretch)
            state = _checked(returned, course.weights.shape)
            if number == chosen:
                kept = before, state
        candidate.restart()  # what was kept anywhere in the process is gone
        self._check(candidate, course, course.stretches[chosen], *kept)
        return state[0]

    def _check(
        self,
        candidate: Candidate,
        course: Course,
        stretch: Stretch,
        before: Sequence[Array],
        after: Sequence[Array],
    ) -> None:
        """Raise CandidateOutputError where weights did not come from the updates alone."""
        weights, *buffers = before
        training = guest.Training(course.widths, weights, *course.arguments[2:])

        def step(weights: Array, found: Array, rates: Sequence[float]) -> Array:
            nonlocal buffers
            update, *buffers = _checked(
                candidate.call(
                    "guest:answer", self.function, course.widths, weights, found, *buffers, rates
                ),
                weights.shape,
            )
            return update

        training.advance(step, *stretch)
        with np.errstate(all="ignore"):
            off = np.linalg.norm(training.weights - after[0], axis=1)
            way = np.linalg.norm(after[0] - weights, axis=1)
        is_finite = np.isfinite(off) & np.isfinite(way)
        if (off > _OFF * way)[is_finite].any() or (np.isfinite(way) & ~is_finite).any():
            raise CandidateOutputError(
                "the same steps, computed again, lead to other weights: the update must follow "
                "from w, g, m, v and lr alone, without chance and without anything that is kept "
                "between two calls but the m and v that are returned"
            )


def _checked(returned: object, shape: tuple[int, ...] | None = None) -> list[Array]:
    """Return weights or updates and the two buffers, which the guest code handed over."""
    if isinstance(returned, str):
        raise CandidateOutputError(f"what the optimiser returns is not usable: {returned}")
    if not isinstance(returned, tuple | list) or len(returned) != 3:
        raise CandidateOutputError("there must be three arrays: weights and two buffers")
    for array in returned:
        if (
            not isinstance(array, np.ndarray)
            or array.dtype != np.float32
            or (shape is not None and array.shape != shape)
        ):
            raise CandidateOutputError("weights and buffers must be float32, of the same shape")
    return list(returned)


def _gain(ours: float, theirs: float) -> float:
    """Return by how many percent a loss is lower, from logarithms."""
    return 100 * (1 - math.exp(ours - theirs))
