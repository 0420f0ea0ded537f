"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    # EVOLVE-BLOCK-START
    # The Taylor polynomial of degree 2 about 0, in Horner's form.
    return 17.71496036246109 / (25.552832148456385 / x + x - 8.837794898349204) - (-0.9999956597525317)
    # EVOLVE-BLOCK-END
