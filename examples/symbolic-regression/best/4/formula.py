"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    t2 = t * t
    t1 = (t2 - 3.0352249268542377) * t2 * 0.0025256841635394036 + 0.021974498665567884
    return t1 - (0.049694841910541555) / t1 - t + 3.4790046230021816
    # EVOLVE-BLOCK-END
