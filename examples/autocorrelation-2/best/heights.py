"""Heights of a step function, for an inequality on its autoconvolution."""

import math

STEPS = 100


# EVOLVE-BLOCK-START
def shape(x):
    """Return the height at x in [0, 1]."""
    t3 = -0.3 * (x * (x + (x - 1.11) * 0.527)) / 0.1555 - 0.067
    return 1.0 + 0.5 * (x + x) + t3 * t3


# EVOLVE-BLOCK-END


def heights():
    return [max(0.0, float(shape((i + 0.5) / STEPS))) for i in range(STEPS)]
