"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    if isinstance(x, int | float) and x == 0:
        return 1.0  # what the lines below tend to: one of them may divide by x
    # EVOLVE-BLOCK-START
    return 1.3333333336413986
    # EVOLVE-BLOCK-END
