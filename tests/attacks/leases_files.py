"""A candidate gets no lease of a file, so no other process has to wait for it."""

import fcntl
import os


def f(host):
    found = []
    for path in (__file__, os.__file__, fcntl.__file__, host["secret"]):
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        for kind in (fcntl.F_WRLCK, fcntl.F_RDLCK):
            try:
                fcntl.fcntl(fd, fcntl.F_SETLEASE, kind)
                found.append(f"!leased {path}")
            except OSError:
                pass
    return found
