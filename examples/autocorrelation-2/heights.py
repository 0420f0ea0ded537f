"""Heights of a step function, for an inequality on its autoconvolution."""

import math

STEPS = 100


# EVOLVE-BLOCK-START
def shape(x):
    """Return the height at x in [0, 1]."""
    return 1.0 + 0.5 * math.cos(6.0 * x) + 0.3 * x * x


# EVOLVE-BLOCK-END


def heights():
    return [max(0.0, float(shape((i + 0.5) / STEPS))) for i in range(STEPS)]
