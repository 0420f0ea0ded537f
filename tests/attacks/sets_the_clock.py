"""The host keeps the time: the clocks of the machine and of the process cannot be set."""

import ctypes
import os
import time

SECONDS = 0.5


def f(host):
    found = []
    before = time.time()
    for act in (
        lambda: time.clock_settime(time.CLOCK_REALTIME, before - 86400),
        lambda: ctypes.CDLL(None).syscall(227, 0, (ctypes.c_long * 2)(0, 0)) and 1 / 0,
        lambda: ctypes.CDLL(None).syscall(164, (ctypes.c_long * 2)(0, 0), 0) and 1 / 0,
    ):
        try:
            act()
            found.append("!set the clock")
        except (OSError, ZeroDivisionError):
            pass
    time.time = time.monotonic = time.perf_counter = lambda: before
    while not found:  # by its own clock no time goes by
        os.getpid()
    return found
