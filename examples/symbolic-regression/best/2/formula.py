"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    return math.exp(t * t * -1.0764952998464232 + 1.6136043842200727) - (t / (8.108392242847987 / (t - 4.786938299677139) + t) - t * 0.7987921797713244) - 3.9748141121454763
    # EVOLVE-BLOCK-END
