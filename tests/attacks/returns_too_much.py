"""The size of a result is limited."""


def f(host):
    return b"x" * (64 << 20)
