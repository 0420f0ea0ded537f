"""An evaluation ends at its deadline: this one ignores every signal that can be ignored."""

import signal
import time

SECONDS = 0.5


def f(host):
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)
