"""Points of which no three are nearly on a line."""


# EVOLVE-BLOCK-START
def points(count):
    """Points along a spiral."""
    return [
        [0.187, 0.058],
        [-0.307, 0.145],
        [0.166, -0.406],
        [0.180, 0.487],
        [-0.523, -0.269],
        [0.628, -0.171],
        [-0.377, 0.598],
        [-0.135, -0.747],
        [0.644, 0.490],
        [-0.851, 0.078],
        [0.605, -0.665],
        [0.003, 0.941],
        [-0.665, -0.721],
    ]


# EVOLVE-BLOCK-END
