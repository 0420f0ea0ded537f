"""Heights of a step function, for an inequality on its autoconvolution."""

import math

STEPS = 100


# EVOLVE-BLOCK-START
def shape(x):
    """Return the height at x in [0, 1]."""
    t1 = x * x
    return ((t1 * 0.6048982849227167 - (t1 * t1 * -1.9888020887289752 + math.cos(t1 * 11.111402791327478) * 0.17476775414484896)) * 1.6233016032901808 + 1.6203708958487921) * t1 * t1 + x + 1.4080964563625622


# EVOLVE-BLOCK-END


def heights():
    return [max(0.0, float(shape((i + 0.5) / STEPS))) for i in range(STEPS)]
