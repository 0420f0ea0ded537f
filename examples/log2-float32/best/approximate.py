"""log2(x) for x in [1, 2], by float32 arithmetic with + - * / only."""


def approximate(x):
    # EVOLVE-BLOCK-START
    # log2(x) = t + t (1 - t) p: exact at both ends, with p a Taylor polynomial about 1.5.
    t = x - 1.0
    u = x - 1.3895351886749268
    w = t - t * t
    p = w - 0.002532614627853036
    p = u * 0.004676785785704851 - 0.009421387687325478
    p = p * u + 0.012772014364600182
    p = p * u + -0.019537653774023056
    p = p * u + 0.031963419169187546
    p = p * u + -0.053339634090662
    p = p * u + 0.09257575124502182
    p = p * u + -0.17147231101989746
    p = p * u + 0.3577294647693634
    return p * w + t
    # EVOLVE-BLOCK-END
