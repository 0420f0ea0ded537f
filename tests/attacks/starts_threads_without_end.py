"""Threads are limited: this one starts them until it fails."""

import threading
import time

SECONDS = 2.0


def f(host):
    for _ in range(500):
        threading.Thread(target=time.sleep, args=(50,), daemon=True).start()
    return ["!500 threads"]
