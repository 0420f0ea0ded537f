"""Output is limited: printing fills no disk and delays nothing."""

import os

SECONDS = 1.0


def f(host):
    line = b"x" * 65536
    while True:
        os.write(1, line)
        os.write(2, line)
