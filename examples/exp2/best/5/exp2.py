"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    # EVOLVE-BLOCK-START
    t1 = -0.9999998633660401 - 34.824441854147 / (100.48098116149751 / x + x - 17.40732984782644)
    # The Taylor polynomial of degree 2 about 0, in Horner's form.
    return t1 * t1
    # EVOLVE-BLOCK-END
