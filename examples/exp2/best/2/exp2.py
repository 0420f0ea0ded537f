"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    if isinstance(x, int | float) and x == 0:
        return 1.0  # what the lines below tend to: one of them may divide by x
    # EVOLVE-BLOCK-START
    t2 = 357.1300690614119 / x + x
    t3 = 918.6591448940895 / t2 + t2
    x = 90.4939299429466 / x + x
    return 247.54370046350894 / (3830.7010857121854 / t3 + t3 - 123.77185022711842) + 0.9999999999999767
    # EVOLVE-BLOCK-END
