"""Points in the plane, nearly equally far apart."""


# EVOLVE-BLOCK-START
def points(count, dimensions):
    """Five points on an inner ring, the others on an outer one."""
    return [
        [0.846, 0.085],
        [0.181, 0.831],
        [-0.734, 0.428],
        [-0.634, -0.566],
        [0.342, -0.778],
        [1.850, 0.000],
        [1.556, 1.000],
        [0.769, 1.683],
        [-0.263, 1.831],
        [-1.211, 1.398],
        [-1.775, 0.521],
        [-1.775, -0.521],
        [-1.211, -1.398],
        [-0.263, -1.831],
        [0.769, -1.683],
        [1.556, -1.000],
    ]


# EVOLVE-BLOCK-END
