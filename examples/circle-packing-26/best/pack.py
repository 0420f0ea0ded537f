"""Circles in a square: centers, and radii as large as they can be."""

import math


# EVOLVE-BLOCK-START
def place(count):
    """Return the centers: rows of circles, every other one shifted."""
    return [
        [0.100, 0.100],
        [0.300, 0.100],
        [0.500, 0.100],
        [0.700, 0.100],
        [0.900, 0.100],
        [0.100, 0.300],
        [0.300, 0.300],
        [0.500, 0.300],
        [0.700, 0.300],
        [0.900, 0.300],
        [0.083, 0.500],
        [0.250, 0.500],
        [0.417, 0.500],
        [0.583, 0.500],
        [0.750, 0.500],
        [0.917, 0.500],
        [0.100, 0.700],
        [0.300, 0.700],
        [0.500, 0.700],
        [0.700, 0.700],
        [0.900, 0.700],
        [0.100, 0.900],
        [0.300, 0.900],
        [0.500, 0.900],
        [0.700, 0.900],
        [0.900, 0.900],
    ]


def grow(centers, rounds=30):
    """Raise all radii in turn to what their neighbours leave, more and more of it."""
    radii = [0.126] * len(centers)
    for _ in range(rounds):
        for i, (x, y) in enumerate(centers):
            room = min(x, y, 1.0 - x, 1.0 - y)
            for j, (u, v) in enumerate(centers):
                if i != j:
                    room = min(room, math.hypot(x - u, y - v) - radii[j])
            radii[i] += 0.3 * (max(0.0, room) - radii[i])
            radii[i] += 0.3 * (max(0.0, room) - radii[i])
    return radii


# EVOLVE-BLOCK-END


def pack(count):
    centers = [(min(1.0, max(0.0, x)), min(1.0, max(0.0, y))) for x, y in place(count)]
    return centers, grow(centers)
