"""Files and processes of the same user cannot be changed: modes, limits, priorities."""

import os
import resource


def f(host):
    found = []
    here = os.path.abspath(__file__)
    for path in (host["secret"], host["folder"], here, os.path.dirname(here), os.__file__):
        try:
            before = os.stat(path).st_mode
            os.utime(path, (0, 0))
            if os.stat(path).st_mtime == 0:
                found.append(f"!changed the time of {path}")
            for act in (os.chmod, lambda p, m: os.chmod(p, m, follow_symlinks=True)):
                act(path, 0o711)
                if os.stat(path).st_mode != before:
                    found.append(f"!changed the mode of {path}")
        except OSError:
            pass
    for pid in (host["pid"], host["holder"], os.getppid(), 2):
        try:
            if pid:
                resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
                found.append(f"!set a limit of {pid}")
        except OSError:
            pass
        for act in (
            lambda: os.setpriority(os.PRIO_PROCESS, host["holder"], 5),
            lambda: os.sched_setaffinity(host["holder"], {0}),
            lambda: os.sched_setscheduler(host["holder"], os.SCHED_IDLE, os.sched_param(0)),
        ):
            try:
                act()
                found.append("!held up another process")
            except OSError:
                pass
    return found
