"""A result is limited before it is parsed: few bytes with more than a million items."""

SECONDS = 4.0


def f(host):
    item = []
    for _ in range(6):
        item = [item] * 11
    return item
