"""A candidate that closes its channel is dead at once, not at its deadline."""

import os
import time

SECONDS = 3.0


def f(host):
    os.closerange(0, 256)
    time.sleep(60)
