"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    t1 = (t + -1.9434392360816872) * t * 0.11313382155774535 - (-0.24456662265698262)
    return t1 - (0.4208597691230897) / t1 - t + 3.2600162802046415
    # EVOLVE-BLOCK-END
