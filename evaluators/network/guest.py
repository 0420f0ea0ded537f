"""Trains the candidate's network and asks it, in its process; each is called in a fresh one."""

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
    """Stands for torch's compiler until more is asked of it than to leave a function alone.

    Every optimiser imports it for that, which takes more than a second in each fresh process.
    """

    def disable(self, function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        """Return the function: nothing compiles it."""
        return function

    def graph_break(self, *_: Any, **__: Any) -> None:
        """Do nothing: no graph is traced."""

    def __getattr__(self, name: str) -> Any:
        """Import the compiler and ask it."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__], torch._dynamo
        return getattr(importlib.import_module(self.__name__), name)


if "torch._dynamo" not in sys.modules:
    torch._dynamo = sys.modules["torch._dynamo"] = Postponed("torch._dynamo")


def train(
    inputs: Array, labels: Array, classes: int, epochs: int, batch: int, seed: int, device: str
) -> Array:
    """Return the numbers of the trained network, one after the other: float32, (n,)."""
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
    """Return the class of each image that a network of these numbers takes for the likeliest."""
    network, _ = build(inputs, classes, seed, device)
    places = held(network)
    count = sum(one.numel() for one in places)
    if count != len(numbers):
        raise ValueError(f"the network holds {count} numbers, and {len(numbers)} after training")
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
    """Return a network for such images, as the program builds it, and the program."""
    torch.manual_seed(seed)
    program = candidate.load()
    _, channels, size, _ = inputs.shape
    return program.build(channels, size, classes).to(device), program


def held(network: torch.nn.Module) -> list[torch.Tensor]:
    """Return what the network holds: its parameters, and buffers such as running means.

    Not the whole numbers that count batches, which nothing needs afterwards.
    """
    found = torch.nn.Module.state_dict(network)  # not what a program may say in its stead
    return [one for one in found.values() if one.is_floating_point()]
