"""No signal reaches another process, not even one that the kernel sends for the candidate."""

import ctypes
import fcntl
import os
import signal
import socket

F_SETSIG = 10
libc = ctypes.CDLL(None, use_errno=True)


def f(host):
    found = []
    for pid in filter(None, (host["holder"], host["pid"], os.getppid())):
        ours, theirs = socket.socketpair()
        for command, value in ((F_SETSIG, signal.SIGCONT), (fcntl.F_SETOWN, pid)):
            try:
                fcntl.fcntl(ours, command, value)
                found.append(f"!signals of a socket go to {pid}")
            except OSError:
                pass
        if os.uname().machine == "x86_64":
            words = [ctypes.c_long(word) for word in (234, pid, pid, signal.SIGCONT)]
            if libc.syscall(*words) == 0:
                found.append(f"!sent a signal to {pid}")
    return found
