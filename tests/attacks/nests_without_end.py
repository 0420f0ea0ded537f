"""A result is limited before it is parsed: this list contains itself."""


def f(host):
    loop = []
    loop.append(loop)
    return loop
