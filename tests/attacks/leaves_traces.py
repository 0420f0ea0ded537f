"""Each candidate starts like the first one: no change by this one lasts.

The witness, a program that reports its environment, would show a change.
"""

import builtins
import json
import os
import resource
import signal
import socket
import sys
import tempfile


def f(host):
    builtins.left = json.left = sys.left = True
    sys.modules["left"] = json
    os.environ["LEFT"] = "here"
    os.umask(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    for folder in (".", tempfile.gettempdir(), "/tmp", "/dev/shm", "/var/tmp", "/run/lock"):
        try:
            with open(f"{folder}/{host['name']}", "w") as file:
                file.write("left")
            os.mkdir(f"{folder}/{host['name']}.folder", 0)
        except OSError:
            pass
    for act in (lambda: socket.sethostname("left"), lambda: os.nice(5)):
        try:
            act()
        except OSError:
            pass
    return []
