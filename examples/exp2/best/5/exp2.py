"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    if isinstance(x, int | float) and x == 0:
        return 1.0  # what the lines below tend to: one of them may divide by x
    # EVOLVE-BLOCK-START
    t1 = -0.9999998633660401 - 34.824441854147 / (100.48098116149751 / x + x - 17.40732984782644)
    return t1 * t1
    # EVOLVE-BLOCK-END
