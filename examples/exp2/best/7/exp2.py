"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    if isinstance(x, int | float) and x == 0:
        return 1.0  # what the lines below tend to: one of them may divide by x
    # EVOLVE-BLOCK-START
    t1 = -1.1892071010272858 - 13.751074397338638 / (x - 6.281614651249567)
    return t1 * t1
    # EVOLVE-BLOCK-END
