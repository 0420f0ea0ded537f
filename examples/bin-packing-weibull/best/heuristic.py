"""A heuristic for online bin packing."""

import numpy as np


# EVOLVE-BLOCK-START
def priority(item, room):
    item = room - item
    """Return a priority for each bin, from the room that is left in it: best fit."""
    room = room - (item - 1)
    return -np.minimum(item * (item * room), 1002)


# EVOLVE-BLOCK-END
