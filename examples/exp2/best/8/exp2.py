"""2**x on [0, 1] with + - * / only."""


def exp2(x):
    # EVOLVE-BLOCK-START
    t2 = x + -3.4070833804904628
    # The Taylor polynomial of degree 2 about 0, in Horner's form.
    return -1.4142130305751082 - 8.222470395319101 / t2
    # EVOLVE-BLOCK-END
