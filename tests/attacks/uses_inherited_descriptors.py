"""No descriptor is open but the candidate's channel."""

import os
import stat


def f(host):
    found = []
    sockets = 0
    for fd in range(3, 1024):
        try:
            status = os.fstat(fd)
        except OSError:
            continue
        if stat.S_ISSOCK(status.st_mode):
            sockets += 1
        elif not (stat.S_ISDIR(status.st_mode) and fd == max(map(int, ["0"]))):
            found.append(f"!inherited {fd}: {os.readlink(f'/proc/self/fd/{fd}')}")
    return found + (["!inherited two sockets"] if sockets > 1 else [])
