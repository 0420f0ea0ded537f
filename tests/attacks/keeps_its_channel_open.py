"""A candidate that ends is dead, even if its children hold its channel open."""

import os
import time

SECONDS = 3.0


def f(host):
    if os.fork() == 0:
        os.setsid()
        time.sleep(60)
    os._exit(0)
