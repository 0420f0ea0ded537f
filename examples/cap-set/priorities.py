"""Priorities of the vectors over the integers mod 3, for a large cap set."""

import itertools


# EVOLVE-BLOCK-START
def priority(vector, n):
    """Return how early this vector is taken."""
    ones = vector.count(1)
    zeros = vector.count(0)
    return 0.0 * ones + 0.0 * zeros


# EVOLVE-BLOCK-END


def priorities(n):
    return [float(priority(vector, n)) for vector in itertools.product(range(3), repeat=n)]
