"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    if isinstance(x, int | float) and x == 0:
        return 1.0  # what the lines below tend to: one of them may divide by x
    # EVOLVE-BLOCK-START
    x = 1428.216194899783 / x + x
    t5 = 3672.7106303110195 / x + x
    t1 = -1.0 - 494.98201436242124 / (15316.339386444391 / t5 + t5 - 247.49100718114934)
    t5 = 90.49392994294612 / x + x
    return t1 * t1
    # EVOLVE-BLOCK-END
