"""A formula for points that were measured."""

import math  # noqa: F401 - for what it becomes


def formula(t):
    # EVOLVE-BLOCK-START
    return math.sqrt(math.exp(t * t * -1.4997781464918714 + 3.0397579678417523) - (t / (7.623368482223487 / (t - 5.2507911090657275) + t) - t * 2.2419916075052844)) - 3.415283671412143
    # EVOLVE-BLOCK-END
