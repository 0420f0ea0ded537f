"""Points of which no three are nearly on a line."""


# EVOLVE-BLOCK-START
def points(count):
    """Points along a spiral."""
    return [
        [0.181, 0.056],
        [-0.296, 0.140],
        [0.160, -0.391],
        [0.173, 0.469],
        [-0.504, -0.259],
        [0.605, -0.165],
        [-0.364, 0.576],
        [-0.130, -0.720],
        [0.620, 0.472],
        [-0.820, 0.075],
        [0.583, -0.641],
        [0.003, 0.906],
        [-0.641, -0.695],
        [0.979, 0.082],
    ]


# EVOLVE-BLOCK-END
