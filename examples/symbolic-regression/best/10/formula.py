"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    return math.sin(-340.7767734364104 / (t * t - (-118.80612100558471) / (t - 0.7319820526521362)))
    # EVOLVE-BLOCK-END
