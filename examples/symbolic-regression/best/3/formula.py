"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    t2 = t * t
    t1 = (t2 - 2.6691963002737706) * t2 * 0.0029914296777168855 + 0.030666644897567895
    return t1 - (0.09088835907580341) / t1 - t * 1.2147150730702059 + 4.242508536968277
    # EVOLVE-BLOCK-END
