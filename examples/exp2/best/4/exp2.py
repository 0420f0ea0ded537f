"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    if isinstance(x, int | float) and x == 0:
        return 1.0  # what the lines below tend to: one of them may divide by x
    # EVOLVE-BLOCK-START
    t5 = 90.49392994294612 / x + x
    return 0.9999999994365733 - (-62.72561437513607) / (237.37862806845396 / t5 + t5 - 31.36278973584522)
    # EVOLVE-BLOCK-END
