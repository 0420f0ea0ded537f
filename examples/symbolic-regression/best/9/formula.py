"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    return t * -0.2528164105738433 - 0.7644422773298258 / ((t - 2.6833028926699836) * t + 2.204126715434837) + 1.3273443127684603
    # EVOLVE-BLOCK-END
