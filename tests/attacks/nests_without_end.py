"""A result is limited before it is parsed: a list that holds itself."""


def f(host):
    loop = []
    loop.append(loop)
    return loop
