"""Integer points whose directions are at least 60 degrees apart."""

import itertools


# EVOLVE-BLOCK-START
def points(dimensions):
    """Take the roots of the lattice D_n: two entries of 1 or -1, all others 0."""
    found = []
    for places in itertools.combinations(range(dimensions), 2):
        for signs in itertools.product((1, -1), repeat=2):
            point = [0] * dimensions
            for place, sign in zip(places, signs, strict=True):
                point[place] = sign
            found.append(point)
    return found


# EVOLVE-BLOCK-END
