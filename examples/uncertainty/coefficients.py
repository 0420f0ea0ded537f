"""Coefficients of a combination of Hermite polynomials, for an uncertainty principle."""


# EVOLVE-BLOCK-START
def coefficients(count):
    first = 0.3
    second = -0.005
    third = -0.0001
    return [first, second, third]


# EVOLVE-BLOCK-END
