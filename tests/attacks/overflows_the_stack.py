"""A stack overflow in C is a verdict on the candidate alone."""

import sys


def f(host):
    sys.setrecursionlimit(10**9)
    nested = ()
    for _ in range(10**6):
        nested = (nested,)
    return hash(nested)
