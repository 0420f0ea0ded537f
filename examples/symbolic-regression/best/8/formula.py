"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    return -0.4793570721442896 - math.sin(-2.2387121664485004 / ((17.258984318421053 / (t - 8.89414074786837) + t) * t - (-1.8905433126757285)))
    # EVOLVE-BLOCK-END
