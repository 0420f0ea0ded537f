"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    return 0.027231637241303275 / t
    # EVOLVE-BLOCK-END
