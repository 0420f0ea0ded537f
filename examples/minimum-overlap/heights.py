"""Heights of a step function on [0, 2], for the minimum overlap problem."""

import math

STEPS = 60


# EVOLVE-BLOCK-START
def shape(x):
    """Return the height at x in [0, 1], which stands for [0, 2]."""
    return 0.5 + 0.3 * math.sin(3.0 * x)


# EVOLVE-BLOCK-END


def heights():
    return [min(1.0, max(0.0, float(shape((i + 0.5) / STEPS)))) for i in range(STEPS)]
