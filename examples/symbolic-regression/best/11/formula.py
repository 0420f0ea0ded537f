"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    return 0.14880833230037457 - math.sin(0.8917880395905029 / (t * t - 0.5785207974798612))
    # EVOLVE-BLOCK-END
