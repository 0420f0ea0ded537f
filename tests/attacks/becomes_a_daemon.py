"""Nothing outlives its evaluation: this process leaves its session, parent and name."""

import ctypes
import os
import time


def f(host):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(15, host["name"].encode())
            os.closerange(0, 256)
            while True:
                time.sleep(0.01)
        os._exit(0)
    time.sleep(0.05)
    return []
