"""Heights of a step function on [0, 2], for the minimum overlap problem."""

import math

STEPS = 60


# EVOLVE-BLOCK-START
def shape(x):
    """Return the height at x in [0, 1], which stands for [0, 2]."""
    return -0.025521954224055038 + 0.8492320066987763 * math.sin(3.1415926535754175 * x) + 0.0001338922419333943


# EVOLVE-BLOCK-END


def heights():
    return [min(1.0, max(0.0, float(shape((i + 0.5) / STEPS)))) for i in range(STEPS)]
