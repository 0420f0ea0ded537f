"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    if isinstance(x, int | float) and x == 0:
        return 1.0  # what the lines below tend to: one of them may divide by x
    # EVOLVE-BLOCK-START
    t5 = 361.5909378812931 / x + x
    t1 = -0.9999999999955327 - 125.31786961731216 / (947.1224310872659 / t5 + t5 - 62.658933706767314)
    return t1 * t1
    # EVOLVE-BLOCK-END
