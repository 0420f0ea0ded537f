"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    if isinstance(x, int | float) and x == 0:
        return 1.0  # what the lines below tend to: one of them may divide by x
    # EVOLVE-BLOCK-START
    # The Taylor polynomial of degree 2 about 0, in Horner's form.
    return 1.0 + x * (0.6931471805599453 + x * 0.2402265069591007)
    # EVOLVE-BLOCK-END
