"""Limits cannot be raised: it asks for more time, more files and a higher priority."""

import os
import resource


def f(host):
    found = []
    for name in ("AS", "NPROC", "NOFILE", "CPU", "FSIZE", "CORE", "MSGQUEUE"):
        limit = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(limit)[1]
        if hard == resource.RLIM_INFINITY:
            found.append(f"!{name} is not limited")
            continue
        try:
            resource.setrlimit(limit, (hard + 1, hard + 1))
            found.append(f"!raised {name}")
        except (OSError, ValueError):
            pass
    for act in (
        lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
        lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10)),
    ):
        try:
            act()
            found.append("!goes before others")
        except OSError:
            pass
    return found
