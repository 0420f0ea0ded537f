"""A small network for images, in regions that evolve. After ExquisiteNetV2's blocks.

Each region stands alone: it uses torch, `nn`, `functional` and the names that other regions define.
"""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimiser
def optimiser(parameters, steps):
    """Return what changes the parameters, and what changes its rate; both step once a batch."""
    found = torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.01)
    return found, torch.optim.lr_scheduler.CosineAnnealingLR(found, steps)


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START attention
class SqueezeExcite(nn.Module):
    """Weigh each channel by what all of them are on average."""

    def __init__(self, channels):
        super().__init__()
        hidden = max(2, channels // 4)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x):
        weights = functional.adaptive_avg_pool2d(x, 1)
        weights = functional.hardswish(self.squeeze(weights))
        return x * functional.hardsigmoid(self.excite(weights))


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START concentrate
class Concentrate(nn.Module):
    """Bring the image's channels to `channels`, and its size down by `stride`.

    A strided convolution, the largest and the least value of each window, side by side.
    """

    def __init__(self, inputs, channels, stride):
        super().__init__()
        self.stride = stride
        self.spread = nn.Conv2d(inputs, channels, 3, stride=stride, padding=1, bias=False)
        self.mix = nn.Conv2d(channels + 2 * inputs, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        size = self.stride
        largest = functional.max_pool2d(x, size)
        least = -functional.max_pool2d(-x, size)
        x = torch.cat([self.spread(x), largest, least], dim=1)
        return self.norm(self.mix(x))


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START depthwise
class Depthwise(nn.Module):
    """Depthwise convolutions around a pointwise one, with attention and a way around them."""

    def __init__(self, channels, kernel=3):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.second = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.attention = SqueezeExcite(channels)

    def forward(self, x):
        y = functional.silu(self.norm(self.mix(self.first(x))))
        y = self.attention(self.second(y))
        return functional.hardswish(x + y)


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START expand
class Expand(nn.Module):
    """Halve the size and bring the channels from `inputs` to `channels`: pooled, then mixed."""

    def __init__(self, inputs, channels):
        super().__init__()
        self.mix = nn.Conv2d(2 * inputs, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        largest = functional.max_pool2d(x, 2)
        least = -functional.max_pool2d(-x, 2)
        x = torch.cat([largest, least], dim=1)
        return functional.hardswish(self.norm(self.mix(x)))


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START network
class Network(nn.Module):
    """The whole: blocks, an average over what is left of the image, one linear layer."""

    def __init__(self, channels, size, classes):
        super().__init__()
        self.blocks = nn.Sequential(
            Concentrate(channels, 16, 2),
            Depthwise(16),
            Expand(16, 32),
            Depthwise(32),
        )
        self.drop = nn.Dropout(0.2)
        self.classify = nn.Linear(32, classes)

    def forward(self, x):
        x = self.blocks(x).mean(dim=(2, 3))
        return self.classify(self.drop(x))


# EVOLVE-BLOCK-END


def build(channels, size, classes):
    """Return an untrained network: images (n, channels, size, size) to scores (n, classes)."""
    return Network(channels, size, classes)
