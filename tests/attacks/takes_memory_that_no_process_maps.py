"""Memory is limited: these pages belong to nameless files that no process has mapped."""

import os
import time

SECONDS = 2.0


def f(host):
    block = b"x" * (1 << 20)
    held = []
    while len(held) < 16:
        held.append(os.memfd_create("hoard"))
        for _ in range(48):
            os.write(held[-1], block)
    time.sleep(0.5)
    return ["!holds 768 MiB in 16 files of memory"]
