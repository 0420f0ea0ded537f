"""The disk is limited: a million empty files would take its last inode."""

import os
import time

SECONDS = 3.0


def f(host):
    for number in range(40_000):
        os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY))
    time.sleep(0.5)
    return ["!40,000 files"]
