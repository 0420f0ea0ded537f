"""Heights of a step function, for an inequality on its autoconvolution."""

import math

STEPS = 100


# EVOLVE-BLOCK-START
def shape(x):
    """Return the height at x in [0, 1]."""
    return 1.0 - 0.5 * math.cos((x + 0.13) * x) + (x * (x / math.cos(x * (x * x)) * x) + 0.02)


# EVOLVE-BLOCK-END


def heights():
    return [float(shape((i + 0.5) / STEPS)) for i in range(STEPS)]
