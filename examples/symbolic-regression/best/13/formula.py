"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    return math.sin(-0.6069503069822011 / (t * t - 0.4994965843494938))
    # EVOLVE-BLOCK-END
