"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    t = t * t
    return math.sin(-0.8492465289087296 / (t + -0.5967520199427261))
    # EVOLVE-BLOCK-END
