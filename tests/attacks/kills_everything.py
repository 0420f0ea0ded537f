"""No signal leaves: this one kills, stops and continues every pid."""

import os
import signal

SECONDS = 2.0


def f(host):
    found = []
    for pid in [host["pid"], os.getppid(), *range(2, 300)]:
        if pid in (os.getpid(), 0):
            continue
        for number in (signal.SIGSTOP, signal.SIGKILL):
            try:
                os.kill(pid, number)
                found.append(f"!signalled {pid}")
            except OSError:
                pass
    try:
        os.kill(-1, signal.SIGKILL)  # all but itself; in a namespace of its own there are no others
    except OSError:
        pass
    return found
