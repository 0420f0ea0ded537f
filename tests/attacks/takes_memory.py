"""Memory is limited: one process takes all that it can get."""

import ctypes

SECONDS = 4.0
MOST_MIB = 700


def f(host):
    ctypes.CDLL(None).prctl(15, host["name"].encode())
    blocks = []
    while True:
        blocks.append(bytearray(b"x") * (1 << 22))
