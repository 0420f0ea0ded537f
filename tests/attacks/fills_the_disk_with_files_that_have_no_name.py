"""The disk is limited: these files are open and removed, so no walk of a folder finds them."""

import os
import time

SECONDS = 3.0


def f(host):
    block = b"x" * (1 << 20)
    held = []
    for number in range(10):
        held.append(open("hidden", "wb", buffering=0))
        os.unlink("hidden")
        for _ in range(40):
            held[-1].write(block)
    time.sleep(0.5)
    return ["!wrote 400 MiB"]
