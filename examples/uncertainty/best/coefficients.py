"""Coefficients of a combination of Hermite polynomials, for an uncertainty principle."""


# EVOLVE-BLOCK-START
def coefficients(count):
    first = 0.214918833118388
    second = -0.007562170400762222
    third = -5.823574042019276e-05
    return [first, second, third]


# EVOLVE-BLOCK-END
