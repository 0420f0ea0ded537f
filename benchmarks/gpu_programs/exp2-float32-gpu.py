"""2**x for x in [0, 1], by float32 arithmetic with + - * / only."""


def approximate(x):
    # EVOLVE-BLOCK-START
    # A polynomial of degree 6, fitted: six products, each fused with a sum.
    p = x * 0.00021799893875140697 + 0.0012413623044267297
    p = p * x + 0.009681284427642822
    p = p * x + 0.055482443422079086
    p = p * x + 0.24022990465164185
    p = p * x + 0.6931470036506653
    return p * x + 1.0
    # EVOLVE-BLOCK-END
