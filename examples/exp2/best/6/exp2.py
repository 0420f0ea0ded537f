"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    if isinstance(x, int | float) and x == 0:
        return 1.0  # what the lines below tend to: one of them may divide by x
    # EVOLVE-BLOCK-START
    return 17.71496036246109 / (25.552832148456385 / x + x - 8.837794898349204) - (-0.9999956597525317)
    # EVOLVE-BLOCK-END
