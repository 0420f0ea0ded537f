"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    # EVOLVE-BLOCK-START
    # The Taylor polynomial of degree 2 about 0, in Horner's form.
    return x + 0.9643992964435927
    # EVOLVE-BLOCK-END
