"""Circles in a square: centers, and radii as large as they can be."""

import math


# EVOLVE-BLOCK-START
def place(count):
    """Put the centers into rows, every other one shifted."""
    centers = []
    rows = [5, 6, 5, 6, 5, 5]
    for row, length in enumerate(rows):
        for i in range(length):
            x = (i + 0.5) / length
            y = (row + 0.5) / len(rows)
            centers.append([x, y])
    return centers[:count]


def grow(centers, rounds=30):
    """Raise all radii in turn to what their neighbours leave, more and more of it."""
    radii = [0.0] * len(centers)
    for _ in range(rounds):
        for i, (x, y) in enumerate(centers):
            room = min(x, y, 1.0 - x, 1.0 - y)
            for j, (u, v) in enumerate(centers):
                if i != j:
                    room = min(room, math.hypot(x - u, y - v) - radii[j])
            radii[i] += 0.3 * (max(0.0, room) - radii[i])
    return radii


# EVOLVE-BLOCK-END


def pack(count):
    centers = place(count)
    return centers, grow(centers)
