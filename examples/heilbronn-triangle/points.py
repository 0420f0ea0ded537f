"""Points of which no three are nearly on a line."""

import math


# EVOLVE-BLOCK-START
def points(count):
    """Follow a spiral."""
    found = []
    for i in range(count):
        angle = 2.4 * i + 0.3
        radius = 0.29 * math.sqrt((i + 0.5) / count)
        found.append([0.293 + radius * math.cos(angle), 0.293 + radius * math.sin(angle)])
    return found


# EVOLVE-BLOCK-END
