"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    t1 = t * t * (t - 1.7488529929405785) * 0.019066992766946456 + 0.04921871821136061
    return t1 - (0.1039088707583854) / t1 - t + 3.3936310940616687
    # EVOLVE-BLOCK-END
