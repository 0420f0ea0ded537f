"""The disk is limited: these files are removed and closed, with one page still mapped."""

import ctypes
import os
import time

SECONDS = 3.0
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p


def f(host):
    block = b"x" * (1 << 20)
    for number in range(16):
        with open("hidden", "w+b", buffering=0) as file:
            os.unlink("hidden")
            for _ in range(40):
                file.write(block)
            libc.mmap(None, ctypes.c_size_t(4096), 1, 1, file.fileno(), ctypes.c_long(0))
    time.sleep(0.5)
    return ["!wrote 640 MiB"]
