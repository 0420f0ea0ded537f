"""Small networks in training, and the candidate's optimiser in its own process.

The evaluator runs `Training` in its process, which holds the images, and gets the updates from the
candidate's process.

Several networks train side by side, one for each of `seeds` and each learning rate, in this order.
Their weights are rows of one array (networks, weights), float32. A network of the widths
(64, 32, 10) is two matrices, (65, 32) and (33, 10), whose last row is the bias.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Widths = Sequence[int]
#: Weights and gradients of all networks, and the rate of each -> what is subtracted.
Train = Callable[[Array, Array, list[float]], Array]


def shapes(widths: Widths) -> list[tuple[int, int]]:
    """Return the shape of each matrix of a network."""
    return [(one + 1, other) for one, other in itertools.pairwise(widths)]


def matrices(weights: Array, widths: Widths) -> list[Array]:
    """Return views (networks, inputs + 1, outputs) of rows of weights."""
    views, start = [], 0
    for shape in shapes(widths):
        end = start + shape[0] * shape[1]
        views.append(weights[:, start:end].reshape(-1, *shape))
        start = end
    return views


def forward(layers: Sequence[Array], inputs: Array) -> tuple[list[Array], Array]:
    """Return the inputs of each layer, the images first, and the logits (networks, n, classes)."""
    values = [inputs]
    for layer in layers[:-1]:
        values.append(np.maximum(values[-1] @ layer[:, :-1] + layer[:, -1:], 0))
    return values, values[-1] @ layers[-1][:, :-1] + layers[-1][:, -1:]


def gradients(weights: Array, widths: Widths, inputs: Array, labels: Array) -> Array:
    """Return the gradients of the cross entropy for each network, on its own batch.

    Args:
        weights: (networks, weights).
        widths: of the layers.
        inputs: (networks, batch, widths[0]).
        labels: (networks, batch).
    """
    layers = matrices(weights, widths)
    values, slope = forward(layers, inputs)
    slope -= slope.max(axis=2, keepdims=True)
    np.exp(slope, out=slope)
    slope /= slope.sum(axis=2, keepdims=True)
    networks, batch = labels.shape
    slope[np.arange(networks)[:, None], np.arange(batch), labels] -= 1
    slope /= np.float32(batch)
    result = np.empty_like(weights)
    each = zip(layers, matrices(result, widths), values, strict=True)
    for layer, out, value in reversed(list(each)):
        np.matmul(value.transpose(0, 2, 1), slope, out=out[:, :-1])
        slope.sum(axis=1, out=out[:, -1])
        if value is not inputs:
            slope = (slope @ layer[:, :-1].transpose(0, 2, 1)) * (value > 0)
    return result


def batches(
    inputs: Array, labels: Array, seeds: Sequence[int], steps: int, batch: int, noise: float
) -> Iterator[tuple[Array, Array]]:
    """Yield inputs (seeds, batch, width) and labels (seeds, batch) for each step.

    Args:
        inputs: (n, width) to draw from.
        labels: (n,).
        seeds: of the random generators.
        steps: number of steps.
        batch: examples of a step.
        noise: standard deviation of the noise on the inputs.
    """
    streams = [np.random.default_rng(seed) for seed in seeds]
    for _ in range(steps):
        drawn = np.stack([stream.integers(len(labels), size=batch) for stream in streams])
        shape = batch, inputs.shape[1]
        added = np.stack([stream.standard_normal(shape, np.float32) for stream in streams])
        yield inputs[drawn] + np.float32(noise) * added, labels[drawn]


class Training:
    """Networks in training.

    Args:
        widths: of the layers.
        weights: (seeds x rates, weights) at the start.
        rates: the learning rates.
        inputs: (n, width) to learn from.
        labels: (n,).
        batch: examples of a step.
        noise: standard deviation of the noise on the inputs.
    """

    def __init__(
        self,
        widths: Widths,
        weights: Array,
        rates: Sequence[float],
        inputs: Array,
        labels: Array,
        batch: int,
        noise: float,
    ) -> None:
        self.widths = widths
        self.weights = weights.copy()
        self.rates = rates
        self._drawn_from = inputs, labels
        self._batch = batch, noise

    def advance(self, train: Train, seeds: Sequence[int], factors: Sequence[float]) -> None:
        """Take a step for each factor of the learning rates.

        Args:
            train: gets weights and gradients (networks, weights) and the rate of each network;
                returns what to subtract from the weights.
            seeds: of the batches.
            factors: of the rates.
        """
        each = len(self.rates)
        with np.errstate(all="ignore"):  # some learning rates diverge
            drawn = batches(*self._drawn_from, seeds, len(factors), *self._batch)
            for factor, (inputs, labels) in zip(factors, drawn, strict=True):
                found = gradients(
                    self.weights,
                    self.widths,
                    np.repeat(inputs, each, axis=0),
                    np.repeat(labels, each, axis=0),
                )
                rates = [rate * factor for rate in self.rates] * len(seeds)
                self.weights -= train(self.weights, found, rates)


# --- the candidate's ------------------------------------------------------------------------------


_NAMES = "update", "m", "v"


class Optimiser:
    """The candidate's function with its two buffers of each matrix."""

    def __init__(self, function: str, widths: Widths, momentum: Array, variance: Array) -> None:
        import candidate  # the program that is being judged

        self._train = getattr(candidate.load(), function)
        self._widths = widths
        self.momentum = momentum
        self.variance = variance

    def __call__(self, weights: Array, found: Array, rates: Sequence[float]) -> Array:
        """Call it for each matrix of each network; return the updates, and keep the buffers."""
        given = weights, found, self.momentum, self.variance
        # The returned arrays may be views of the given ones, so the given ones stay unchanged.
        taken = tuple(np.empty_like(weights) for _ in _NAMES)
        for into, layer in zip(self._split(taken), self._split(given), strict=True):
            for network, rate in enumerate(rates):
                returned = self._train(*(_locked(array[network]) for array in layer), rate)
                if not isinstance(returned, tuple) or len(returned) != 3:
                    raise FormError("it must return a tuple of three: update, m, v")
                for name, array, value in zip(_NAMES, into, returned, strict=True):
                    array[network] = _array(name, value, array[network].shape)
        updates, self.momentum, self.variance = taken
        return updates

    def _split(self, arrays: Sequence[Array]) -> Iterator[tuple[Array, ...]]:
        """Yield for each layer its part of each of the arrays."""
        return zip(*(matrices(array, self._widths) for array in arrays), strict=True)


class FormError(Exception):
    """The candidate's function returned something malformed."""


def _locked(array: Array) -> Array:
    """Return a read-only view."""
    view = array.view()
    view.flags.writeable = False
    return view


def _array(name: str, value: object, shape: tuple[int, ...]) -> Array:
    """Return a value as an array of the shape, or of one number for all entries.

    Raises:
        FormError: it is something else.
    """
    if not isinstance(value, (np.ndarray, float, int, np.number)):
        raise FormError(f"{name} must be an array of the shape of w, not {type(value).__name__}")
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.shape not in ((), shape):
        raise FormError(
            f"{name} must be real numbers of the shape {shape} of w, or one number, not "
            f"{array.dtype} of the shape {array.shape}"
        )
    return array


_optimiser: Optimiser
_weights: Array


def begin(function: str, widths: Widths, weights: Array, momentum: Array, variance: Array) -> None:
    """Execute the program afresh, and continue from these weights and buffers."""
    global _optimiser, _weights
    _optimiser = Optimiser(function, widths, momentum, variance)
    _weights = weights


def step(found: Array, rates: Sequence[float]) -> Array | str:
    """Return the updates for these gradients, or an error; subtract them from the weights."""
    global _weights
    with np.errstate(all="ignore"):
        try:
            updates = _optimiser(_weights, found, rates)
        except FormError as error:
            return str(error)
        _weights = _weights - updates
    return updates


def buffers() -> tuple[Array, Array]:
    """Return the two buffers."""
    return _optimiser.momentum, _optimiser.variance
