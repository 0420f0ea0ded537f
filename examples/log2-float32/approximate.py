"""log2(x) for x in [1, 2], by float32 arithmetic with + - * / only."""


def approximate(x):
    # EVOLVE-BLOCK-START
    # log2(x) = t + t (1 - t) p: exact at both ends, with p a Taylor polynomial about 1.5.
    t = x - 1.0
    u = x - 1.5
    w = t - t * t
    p = -0.0002435552607085666
    p = p * u + 0.00039108085192969506
    p = p * u + -0.0006311119310973539
    p = p * u + 0.0010243827763527689
    p = p * u + -0.0016740530864712666
    p = p * u + 0.0027579496151881235
    p = p * u + -0.004588269806784369
    p = p * u + 0.007725951556890588
    p = p * u + -0.013209577428427904
    p = p * u + 0.02304088034850332
    p = p * u + -0.041299300783812186
    p = p * u + 0.07700441963719809
    p = p * u + -0.1528132242960976
    p = p * u + 0.33985000288462475
    return p * w + t
    # EVOLVE-BLOCK-END
