"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    return t * t * 0.09519384162937151 - 2.2175796964623253 / ((t - 2.126538857746226) * t + 1.9997113544403622) - t + 2.7828978002198657
    # EVOLVE-BLOCK-END
