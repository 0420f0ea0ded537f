"""An evaluation ends with its answer, even if threads still run."""

import threading
import time

SECONDS = 1.0


def f(host):
    for _ in range(4):
        threading.Thread(target=time.sleep, args=(100,)).start()
    raise SystemExit
