"""A result is limited before it is parsed: few bytes, ten million items."""

SECONDS = 4.0


def f(host):
    item = []
    for _ in range(7):
        item = [item] * 10
    return item
