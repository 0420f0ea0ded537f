"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    return math.sin(-1.2182198787065037 / (t * t))
    # EVOLVE-BLOCK-END
