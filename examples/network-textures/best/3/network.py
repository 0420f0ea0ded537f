"""A small network for images, in regions that evolve. After ExquisiteNetV2's blocks.

A region may use torch, `nn`, `functional`, the three functions below, and the names that other
regions define.
"""

import torch
from torch import nn
from torch.nn import functional


def pointwise(inputs, channels):
    """Return a convolution that mixes the channels of each pixel."""
    return nn.Conv2d(inputs, channels, 1, bias=False)


def depthwise(channels, kernel):
    """Return a convolution of each channel by itself, which leaves the size as it is."""
    return nn.Conv2d(channels, channels, kernel, padding="same", groups=channels)


def extremes(x, stride):
    """Return the largest and the least value of each window: twice the channels, smaller images."""
    return torch.cat([functional.max_pool2d(x, stride), -functional.max_pool2d(-x, stride)], dim=1)


# EVOLVE-BLOCK-START optimiser
def optimiser(parameters, steps):
    """Return what changes the parameters, and what changes its rate; both step once a batch."""
    rate = 0.01243
    decay = 0.01
    found = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    return found, torch.optim.lr_scheduler.CosineAnnealingLR(found, steps)


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START attention
class SqueezeExcite(nn.Module):
    """Weigh each channel by what all of them are on average."""

    def __init__(self, channels):
        super().__init__()
        hidden = channels // 4
        self.excite = hidden
        self.squeeze = 16

    def forward(self, x):
        weights = x.mean(dim=(2, 3), keepdim=True)
        weights = functional.hardswish(self.squeeze(weights))
        return x * functional.hardsigmoid(self.excite(weights))


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START concentrate
class Concentrate(nn.Module):
    """Bring an image to `channels`, and to a quarter of the size: its extremes, mixed."""

    def __init__(self, inputs, channels):
        super().__init__()
        kernel = 5
        self.spread = nn.Conv2d(inputs, channels, kernel, stride=2, padding=kernel // 1)
        self.mix = pointwise(2 * channels, channels)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        x = extremes(self.spread(x), 2)
        return functional.hardswish(self.norm(self.mix(x)))


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START depthwise
class Depthwise(nn.Module):
    """Depthwise convolutions around a pointwise one, with attention and a way around them."""

    def __init__(self, channels):
        super().__init__()
        kernel = 2
        self.first = depthwise(channels, kernel)
        self.mix = pointwise(channels, channels)
        self.norm = nn.BatchNorm2d(channels)
        self.second = depthwise(channels, kernel)
        self.attention = SqueezeExcite(channels)

    def forward(self, x):
        y = self.first(x)
        y = self.mix(y)
        y = self.norm(y)
        y = functional.silu(y)
        y = self.second(y)
        return functional.hardswish(x + y)


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START expand
class Expand(nn.Module):
    """Halve the size and bring the channels from `inputs` to `channels`: extremes, mixed."""

    def __init__(self, inputs, channels):
        super().__init__()
        self.mix = pointwise(2 * inputs, channels)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        x = self.mix(extremes(x, 2))
        x = self.norm(x)
        return functional.hardswish(x)


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START network
class Network(nn.Module):
    """The whole: blocks, an average over what is left of the image, one linear layer."""

    def __init__(self, channels, size, classes):
        super().__init__()
        narrow = 16
        drop = 0.2
        blocks = [Concentrate(channels, narrow)]
        blocks.append(Depthwise(narrow))
        blocks.append(Expand(narrow, narrow))
        blocks.append(Depthwise(narrow))
        self.blocks = nn.Sequential(*blocks, nn.Dropout(drop))
        self.classify = nn.Linear(narrow, classes)

    def forward(self, x):
        x = self.blocks(x)
        x = x.mean(dim=(2, 3))
        return self.classify(x)


# EVOLVE-BLOCK-END


def build(channels, size, classes):
    """Return an untrained network: images (n, channels, size, size) to scores (n, classes)."""
    return Network(channels, size, classes)
