"""An evaluation ends at its deadline: this one begins an answer and never ends it."""

import os
import stat
import time

SECONDS = 0.5


def f(host):
    for fd in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.write(fd, b"\0\0\0\x20")
        except OSError:
            pass
    time.sleep(100)
