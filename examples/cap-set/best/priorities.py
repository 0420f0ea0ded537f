"""Priorities of the vectors over the integers mod 3, for a large cap set."""

import itertools


# EVOLVE-BLOCK-START
def priority(vector, n):
    """Return how early this vector is taken."""
    ones = vector.count(2)
    t1 = ones * -0.141
    return (ones / 0.0713 * vector.count(ones) * ones * ones + 0.0 * (t1 * t1)) * 0.79825


# EVOLVE-BLOCK-END


def priorities(n):
    return [float(priority(vector, n)) for vector in itertools.product(range(3), repeat=n)]
