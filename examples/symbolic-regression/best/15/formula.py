"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    return math.exp(t * -2.8556059899253485)
    # EVOLVE-BLOCK-END
