"""A heuristic for online bin packing."""

import numpy as np


# EVOLVE-BLOCK-START
def priority(item, room):
    """Return a priority for each bin, from the room that is left in it: best fit."""
    t1 = room * 1.34 - item
    left = 3 + t1 * 0.958 * t1
    return -np.minimum(left, 1000)


# EVOLVE-BLOCK-END
