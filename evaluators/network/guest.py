"""Trains the candidate's network and predicts by it, each in a fresh process of the candidate."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import candidate  # the program that is being judged
import numpy as np
import torch
from torch.nn import functional

Array = np.ndarray[Any, Any]


class Postponed(ModuleType):
    """Replaces torch's compiler until code uses more of it than `disable` and `graph_break`.

    Every optimiser imports it for these, which takes more than a second in each fresh process.
    """

    def disable(self, function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        """Return the function unchanged."""
        return function

    def graph_break(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    def __getattr__(self, name: str) -> Any:
        """Import the compiler and return its attribute."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__], torch._dynamo
        return getattr(importlib.import_module(self.__name__), name)


if "torch._dynamo" not in sys.modules:
    torch._dynamo = sys.modules["torch._dynamo"] = Postponed("torch._dynamo")


def train(
    inputs: Array, labels: Array, classes: int, epochs: int, batch: int, seed: int, device: str
) -> Array:
    """Return all numbers of the trained network: float32, (n,)."""
    network, program = build(inputs, classes, seed, device)
    images = torch.from_numpy(inputs).to(device)
    wanted = torch.from_numpy(labels).to(device)
    batches = len(images) // batch
    optimiser, schedule = program.optimiser(network.parameters(), epochs * batches)
    network.train()
    for _ in range(epochs):
        order = torch.randperm(len(images)).to(device)
        for chosen in order[: batches * batch].split(batch):
            loss = functional.cross_entropy(network(images[chosen]), wanted[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    numbers = [one.detach().reshape(-1).float().cpu().numpy() for one in held(network)]
    return np.concatenate([np.zeros(0, np.float32), *numbers])


def predict(
    numbers: Array, inputs: Array, classes: int, seed: int, device: str, batch: int = 500
) -> Array:
    """Return the likeliest class of each image by a network of these numbers."""
    network, _ = build(inputs, classes, seed, device)
    places = held(network)
    count = sum(one.numel() for one in places)
    if count != len(numbers):
        raise ValueError(f"the network has {count} numbers, but training returned {len(numbers)}")
    with torch.no_grad():
        values = torch.from_numpy(numbers).split([one.numel() for one in places])
        for one, value in zip(places, values, strict=True):
            one.copy_(value.reshape(one.shape))
        network.eval()
        found = [
            network(images.to(device)).argmax(dim=1).cpu().numpy()
            for images in torch.from_numpy(inputs).split(batch)
        ]
    return np.concatenate(found)


def build(inputs: Array, classes: int, seed: int, device: str) -> tuple[Any, ModuleType]:
    """Return the network that the program builds for such images, and the program."""
    torch.manual_seed(seed)
    program = candidate.load()
    _, channels, size, _ = inputs.shape
    return program.build(channels, size, classes).to(device), program


def held(network: torch.nn.Module) -> list[torch.Tensor]:
    """Return the network's parameters and its buffers, such as running means.

    Without integers, which count batches and do not influence a prediction.
    """
    found = torch.nn.Module.state_dict(network)  # a program may override the method
    return [one for one in found.values() if one.is_floating_point()]
