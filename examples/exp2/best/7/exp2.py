"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    # EVOLVE-BLOCK-START
    t1 = -1.1892071010272858 - 13.751074397338638 / (x - 6.281614651249567)
    # The Taylor polynomial of degree 2 about 0, in Horner's form.
    return t1 * t1
    # EVOLVE-BLOCK-END
