"""An evaluation ends when its answer is there, whatever threads it left."""

import threading
import time

SECONDS = 1.0


def f(host):
    for _ in range(4):
        threading.Thread(target=time.sleep, args=(100,)).start()
    raise SystemExit
