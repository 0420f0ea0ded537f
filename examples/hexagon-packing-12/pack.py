"""Unit hexagons, close together: rows of x, y and angle."""

import math


# EVOLVE-BLOCK-START
def pack(count):
    """Put hexagons around one in the middle, ring after ring, all alike."""
    found = [[0.0, 0.0, 0.0]]
    turn = 0.5236
    for ring in (1.7321, 3.0):
        for i in range(6):
            angle = turn + 1.0472 * i
            found.append([ring * math.cos(angle), ring * math.sin(angle), 0.0])
        turn = turn + 0.5236
    return found[:count]


# EVOLVE-BLOCK-END
