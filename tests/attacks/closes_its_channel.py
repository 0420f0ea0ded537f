"""A candidate that hangs up is dead at once and not at its deadline."""

import os
import time

SECONDS = 3.0


def f(host):
    os.closerange(0, 256)
    time.sleep(60)
