"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    return 0.05882882815802072
    # EVOLVE-BLOCK-END
