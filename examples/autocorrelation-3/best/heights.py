"""Heights of a step function, for an inequality on its autoconvolution."""

import math

STEPS = 100


# EVOLVE-BLOCK-START
def shape(x):
    """Return the height at x in [0, 1]."""
    t2 = math.cos(x)
    t3 = math.cos(x)
    t6 = 0.602247289333659 * (-6.259002681993005 + (x - (t3 + t3) + 0.6772322568516407)) / (0.33924658952142867 * math.cos((x + 0.3632523323576213 * (x / x)) * x)) * 0.7899578766934839
    t1 = (x + x - 0.28901721914882916) * (t2 + t2) * 0.3876178359319471
    return t2 * t2 + (t6 + 0.9865212351795427 * t6 * x) + 0.31447849828652946 * (x / x) * (t1 + t1) * (x + x)


# EVOLVE-BLOCK-END


def heights():
    return [float(shape((i + 0.5) / STEPS)) for i in range(STEPS)]
