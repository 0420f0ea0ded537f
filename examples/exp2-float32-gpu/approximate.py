"""2**x for x in [0, 1], by float32 arithmetic with + - * / only."""


def approximate(x):
    # EVOLVE-BLOCK-START
    # The Taylor polynomial of degree 9 about 0, in Horner's form.
    p = 1.01780860092397e-07
    p = p * x + 1.32154867901443e-06
    p = p * x + 1.52527338040598e-05
    p = p * x + 0.00015403530393381606
    p = p * x + 0.0013333558146428441
    p = p * x + 0.009618129107628477
    p = p * x + 0.055504108664821576
    p = p * x + 0.2402265069591007
    p = p * x + 0.6931471805599453
    return p * x + 1.0
    # EVOLVE-BLOCK-END
