"""As somebody would choose by hand: large tiles, where the product is large enough for many."""


def choose(m, k, n):
    if m * n < 1024 * 1024:
        return 64, 64, 64
    return 128, 128, 64
