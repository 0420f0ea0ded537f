"""Points in space, nearly equally far apart."""


# EVOLVE-BLOCK-START
def points(count, dimensions):
    """The corners of a cube, and points over the middles of its faces."""
    return [
        [-1.000, -1.000, -1.000],
        [-1.000, -1.000, 1.000],
        [-1.000, 1.000, -1.000],
        [-1.000, 1.000, 1.000],
        [1.000, -1.000, -1.000],
        [1.000, -1.000, 1.000],
        [1.000, 1.000, -1.000],
        [1.000, 1.000, 1.000],
        [-1.600, 0.000, 0.000],
        [1.600, 0.000, 0.000],
        [0.000, -1.600, 0.000],
        [0.000, 1.600, 0.000],
        [0.000, 0.000, -1.600],
        [0.000, 0.000, 1.600],
    ]


# EVOLVE-BLOCK-END
