"""Descriptors are limited: neither the runner nor the host runs out of them."""

import os


def f(host):
    opened = 0
    try:
        while opened < 5000:
            os.open("/dev/null", os.O_RDONLY)
            opened += 1
    except OSError:
        pass
    return ["!5000 descriptors"] if opened == 5000 else []
