"""Unit hexagons, close together: rows of x, y and angle."""


# EVOLVE-BLOCK-START
def pack(count):
    """One in the middle, six around it, the others outside, all alike."""
    return [
        [0.000, 0.000, 0.000],
        [1.500, 0.866, 0.000],
        [-0.000, 1.732, 0.000],
        [-1.500, 0.866, 0.000],
        [-1.500, -0.866, 0.000],
        [0.000, -1.732, 0.000],
        [1.500, -0.866, 0.000],
        [1.500, 2.598, 0.000],
        [-1.500, 2.598, 0.000],
        [-3.000, -0.000, 0.000],
        [-1.500, -2.598, 0.000],
        [1.500, -2.598, 0.000],
    ]


# EVOLVE-BLOCK-END
