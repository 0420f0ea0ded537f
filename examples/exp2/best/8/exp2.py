"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    if isinstance(x, int | float) and x == 0:
        return 1.0  # what the lines below tend to: one of them may divide by x
    # EVOLVE-BLOCK-START
    t2 = x + -3.4070833804904628
    return -1.4142130305751082 - 8.222470395319101 / t2
    # EVOLVE-BLOCK-END
