"""Memory is limited over all processes: each of these stays below the limit."""

import ctypes
import os
import time

SECONDS = 2.0
MOST_MIB = 1200  # pages that they share are counted for each of them


def f(host):
    ctypes.CDLL(None).prctl(15, host["name"].encode())
    for _ in range(20):
        if os.fork() == 0:
            block = bytearray(150 << 20)
            while True:
                for i in range(0, len(block), 4096):
                    block[i] = 1
    time.sleep(60)
