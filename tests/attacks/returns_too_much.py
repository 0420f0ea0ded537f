"""A result is limited before it is believed."""


def f(host):
    return b"x" * (64 << 20)
