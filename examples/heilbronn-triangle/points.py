"""Points of which no three are nearly on a line."""


# EVOLVE-BLOCK-START
def points(count):
    """Points along a spiral."""
    return [
        [0.352, 0.311],
        [0.196, 0.339],
        [0.345, 0.165],
        [0.350, 0.446],
        [0.128, 0.208],
        [0.491, 0.239],
        [0.174, 0.482],
        [0.250, 0.057],
        [0.496, 0.447],
        [0.025, 0.318],
        [0.484, 0.083],
    ]


# EVOLVE-BLOCK-END
