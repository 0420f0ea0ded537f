"""Trains small networks with a given layer, and searches for weights with exploding gradients.

The layer is the source that `formula.py` wrote; it runs with access to the functions below only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

Axes = int | tuple[int, ...]
Moment = Callable[[torch.Tensor, Axes], torch.Tensor]
Make = Callable[[int], nn.Module]  # channels -> what stands between two convolutions
Array = np.ndarray[Any, Any]

EPSILON = 1e-5  # of a variance
KEPT = 0.9  # weight of a running average at the next value
GROUPS = 4
_WARM = 0.1  # share of the steps in which the learning rate rises
_MOMENTUM, _DECAY = 0.9, 1e-4  # of the descent, and of weights
_CHECKED = 20  # steps between two checks whether a training has diverged
_STRIDE = 0.1  # length of a step of the ascent, relative to a weight's norm


def _tensor(value: object) -> torch.Tensor:
    """Return a tensor; a formula may have a number in its place."""
    return value if isinstance(value, torch.Tensor) else torch.tensor(float(value))  # type: ignore[arg-type]


def _square(value: torch.Tensor) -> torch.Tensor:
    return value * value


def _by_entry(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda *values: function(*map(_tensor, values))


POINTWISE = {
    name: _by_entry(function)
    for name, function in {
        "max": torch.maximum, "min": torch.minimum, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
        "erf": torch.erf, "exp": torch.exp, "log": torch.log, "abs": torch.abs,
        "sqrt": torch.sqrt, "square": _square,
    }.items()
}  # fmt: skip
AXES: dict[str, Axes] = {"wh": (2, 3), "whc": (1, 2, 3), "bwh": (0, 2, 3), "group": 2}


def _mean(x: torch.Tensor, axes: Axes) -> torch.Tensor:
    return x.mean(axes, keepdim=True)


def _rms(x: torch.Tensor, axes: Axes) -> torch.Tensor:
    return torch.sqrt(_mean(x * x, axes) + EPSILON)


def _std(x: torch.Tensor, axes: Axes) -> torch.Tensor:
    # var() takes 8 times as long, 1.6 times with its gradient: measured
    return _rms(x - _mean(x, axes), axes)


MOMENTS = {"mean": _mean, "std": _std, "rms": _rms}


def _moment(moment: Moment, axes: str, x: object) -> torch.Tensor:
    """Return a moment of x, of size 1 along its axes, or with the size of the groups."""
    y = _tensor(x)
    if y.dim() < 4:
        y = y.reshape(1, 1, 1, 1)
    if axes != "group":
        return moment(y, AXES[axes])
    size, channels = y.shape[:2]
    groups = math.gcd(GROUPS, channels)
    found = moment(y.reshape(size, groups, -1), AXES[axes])
    return found.repeat_interleave(channels // groups, 1).reshape(size, channels, 1, 1)


class Formula:
    """A candidate's function, with running averages of its moments over a batch.

    The number of a call identifies the moment: the function has no branches, so the n-th call is
    always for the same one.

    Args:
        source: one function.
    """

    def __init__(self, source: str) -> None:
        self.trains = True
        self._kept: list[torch.Tensor] = []
        self._calls = 0
        scope: dict[str, Any] = {"__builtins__": {}, **POINTWISE}
        for name, moment in MOMENTS.items():
            for axes in AXES:
                function = self._of_batch if axes == "bwh" else _moment
                scope[f"{name}_{axes}"] = partial(function, moment, axes)
        exec(source, scope)
        self._function = scope[source.split("(")[0].removeprefix("def ")]

    def _of_batch(self, moment: Moment, axes: str, x: object) -> torch.Tensor:
        number, self._calls = self._calls, self._calls + 1
        if not self.trains:
            return self._kept[number]
        value = _moment(moment, axes, x)
        if number == len(self._kept):
            self._kept.append(value.detach())
        self._kept[number] = torch.lerp(value.detach(), self._kept[number], KEPT)
        return value

    def __call__(self, x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        """Return the function's tensor, broadcast to the shape of x."""
        self._calls = 0
        found = _tensor(self._function(x, *parameters))
        if found.dtype != x.dtype:
            raise TypeError(f"the function must return a tensor of {x.dtype}, not {found.dtype}")
        return torch.broadcast_to(found.to(x.device), x.shape)


class Layer(nn.Module):
    """A layer that normalises and activates: the candidate's function does both.

    Args:
        source: of the function of x, v, gamma, beta.
        channels: of x.
    """

    def __init__(self, source: str, channels: int) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.formula = Formula(source)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise and activate."""
        self.formula.trains = self.training
        return self.formula(x, self.v, self.gamma, self.beta)


class Activation(nn.Module):
    """A layer that normalises and activates: the candidate's function follows batch norm.

    Args:
        source: of the function of x, a.
        channels: of x.
    """

    def __init__(self, source: str, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.a = nn.Parameter(torch.zeros(1, 1, 1, 1))
        self.formula = Formula(source)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise and activate."""
        return self.formula(self.norm(x), self.a)


PARTS = {"layer": Layer, "activation": Activation}


# --- the anchors ----------------------------------------------------------------------------------


def _conv(channels: int, wanted: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, wanted, size, stride, size // 2, groups=groups, bias=False)


def _plain(layer: Make, channels: int) -> tuple[list[nn.Module], int]:
    return [
        _conv(channels, 8), layer(8), _conv(8, 16, stride=2), layer(16), _conv(16, 16), layer(16)
    ], 16  # fmt: skip


class _Block(nn.Module):
    """Two convolutions, each after its layer, with a shortcut (He 2016)."""

    def __init__(self, layer: Make, channels: int, wanted: int, stride: int) -> None:
        super().__init__()
        self.first = layer(channels)
        self.round = None if stride == 1 else _conv(channels, wanted, 1, stride)
        self.rest = nn.Sequential(
            _conv(channels, wanted, stride=stride), layer(wanted), _conv(wanted, wanted)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        return (x if self.round is None else self.round(y)) + self.rest(y)


def _residual(layer: Make, channels: int) -> tuple[list[nn.Module], int]:
    blocks = [_Block(layer, 8, 8, 1), _Block(layer, 8, 16, 2)]
    return [_conv(channels, 8), *blocks, layer(16)], 16


def _mobile(layer: Make, channels: int) -> tuple[list[nn.Module], int]:
    bottleneck = [_conv(8, 16, 1), layer(16), _conv(16, 16, stride=2, groups=16), layer(16)]
    return [
        _conv(channels, 8), layer(8), *bottleneck, _conv(16, 12, 1), _conv(12, 32, 1), layer(32)
    ], 32  # fmt: skip


ANCHORS = {"plain": _plain, "residual": _residual, "mobile": _mobile}


def _network(
    part: str, source: str, anchor: str, channels: int, classes: int, seed: int, device: str
) -> nn.Module:
    """Return a network with random weights (He 2015) from the seed."""
    torch.manual_seed(seed)
    parts, width = ANCHORS[anchor](partial(PARTS[part], source), channels)
    network = nn.Sequential(
        *parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)
    )
    for weight in _weights(network):
        nn.init.kaiming_normal_(weight, mode="fan_out")
    return network.to(device)


def _weights(network: nn.Module) -> list[torch.Tensor]:
    return [part.weight for part in network.modules() if isinstance(part, nn.Conv2d)]


def _flattened(network: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one vector of a network's weights and one of their gradients; it shares both.

    torch.optim could be used instead, but its first use imports for seconds in every evaluation.
    """
    parameters = list(network.parameters())
    weights = nn.utils.parameters_to_vector(parameters).detach()
    gradient = torch.zeros_like(weights)
    nn.utils.vector_to_parameters(weights, parameters)
    start = 0
    for one in parameters:
        one.grad = gradient[start : start + one.numel()].view_as(one)
        start += one.numel()
    return weights, gradient


# --- what the evaluator calls ---------------------------------------------------------------------


def train(
    part: str,
    source: str,
    anchor: str,
    inputs: Array,
    labels: Array,
    others: Sequence[Array],
    *,
    classes: int,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    device: str,
) -> list[Array]:
    """Train an anchor by gradient descent with momentum; return its scores of other images.

    Args:
        part: "layer" or "activation".
        source: of the candidate's function.
        anchor: "plain", "residual" or "mobile".
        inputs: images to learn from, (n, channels, height, width).
        labels: of them, (n,).
        others: arrays of images.
        classes: number of classes.
        steps: of the training.
        batch: images of a step.
        rate: the learning rate at its peak; it falls to zero along a cosine.
        seed: of weights and batches.
        device: "cpu" or "cuda".

    Returns:
        scores for each array of images, float32 of shape (m, classes).
    """
    network = _network(part, source, anchor, inputs.shape[1], classes, seed, device)
    x, y = (torch.as_tensor(array).to(device) for array in (inputs, labels))
    weights, gradient = _flattened(network)
    velocity = torch.zeros_like(weights)
    for step in range(steps):
        falling = 0.5 * rate * (1 + math.cos(math.pi * step / steps))
        now = falling * min(1.0, (step + 1) / (_WARM * steps))
        chosen = torch.randint(len(x), (batch,)).to(device)
        gradient.zero_()
        loss = functional.cross_entropy(network(x[chosen]), y[chosen])
        loss.backward()
        gradient.add_(weights, alpha=_DECAY)
        velocity.mul_(_MOMENTUM).add_(gradient)
        weights.sub_(now * (gradient + _MOMENTUM * velocity))  # Nesterov's
        if step % _CHECKED == 0 and not math.isfinite(loss.item()):
            break
    network.eval()
    with torch.no_grad():
        return [network(torch.as_tensor(one).to(device)).cpu().numpy() for one in others]


def ascend(
    part: str,
    source: str,
    anchor: str,
    inputs: Array,
    labels: Array,
    *,
    classes: int,
    steps: int,
    limit: float,
    seed: int,
    device: str,
) -> Array:
    """Change a network's weights step by step so that its gradient grows; return the norms.

    The gradient is that of the loss on the images, with respect to the weights of all convolutions.
    Each weight moves along the gradient of the norm, by a tenth of its own length.

    Args:
        part: "layer" or "activation".
        source: of the candidate's function.
        anchor: "plain", "residual" or "mobile".
        inputs: images, (n, channels, height, width).
        labels: of them, (n,).
        classes: number of classes.
        steps: of the ascent.
        limit: norm at which the ascent ends.
        seed: of the starting weights.
        device: "cpu" or "cuda".

    Returns:
        float64, (n,): the norm before each step; the last one is infinite if it is not finite.
    """
    network = _network(part, source, anchor, inputs.shape[1], classes, seed, device)
    x, y = (torch.as_tensor(array).to(device) for array in (inputs, labels))
    weights = _weights(network)
    norms: list[float] = []
    for _ in range(steps):
        loss = functional.cross_entropy(network(x), y)
        found = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
        square = sum((one * one).sum() for one in found)
        norm = math.sqrt(square.item())
        norms.append(norm if math.isfinite(norm) else math.inf)
        if not 0 < norms[-1] <= limit or not square.requires_grad:
            break
        uphill = torch.autograd.grad(square, weights, materialize_grads=True)
        if not all(bool(direction.isfinite().all()) for direction in uphill):
            norms[-1] = math.inf  # without a direction it would look stable
            break
        with torch.no_grad():
            for weight, direction in zip(weights, uphill, strict=True):
                length = direction.norm()
                if length > 0:
                    weight += _STRIDE * weight.norm() / length * direction
    return np.array(norms)


def answer(part: str, source: str, seed: int, count: int) -> Array:
    """Return the values of the candidate's function for random arguments of a network's shapes.

    Args:
        part: "layer" or "activation".
        source: of the candidate's function.
        seed: of the arguments.
        count: of the function's arguments after x.
    """
    chance = torch.Generator().manual_seed(seed)
    x = 2 * torch.randn(6, 8, 4, 4, generator=chance)
    channels = 8 if part == "layer" else 1
    others = [torch.randn(1, channels, 1, 1, generator=chance) for _ in range(count)]
    found: Array = Formula(source)(x, *others).numpy()
    return found


def slopes(source: str, points: Array) -> tuple[Array, Array]:
    """Return an activation's values and derivatives at some points, for a = 0.

    Args:
        source: of the function of x, a.
        points: float32, (n,).
    """
    x = torch.as_tensor(points).reshape(1, 1, 1, -1).requires_grad_()
    values = Formula(source)(x, torch.zeros(1, 1, 1, 1))
    found = torch.zeros_like(x)
    if values.requires_grad:
        (found,) = torch.autograd.grad(values.sum(), x, materialize_grads=True)
    return values.detach().flatten().numpy(), found.flatten().numpy()
