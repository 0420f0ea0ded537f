"""The memory and the descriptors of other processes cannot be read."""

import glob
import os


def f(host):
    found = []
    own = {str(os.getpid()), "self", "thread-self"}
    for path in glob.glob("/proc/*"):
        pid = os.path.basename(path)
        if pid in own or not pid.isdigit():
            continue
        for what in ("mem", "maps", "auxv", "stack", "syscall", "io"):
            try:
                with open(f"{path}/{what}", "rb", buffering=0) as file:
                    if what != "mem" and file.read(1):
                        found.append(f"!read {path}/{what}")
            except OSError:
                pass
        try:
            for fd in os.listdir(f"{path}/fd"):
                try:
                    os.open(f"{path}/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK)
                    found.append(f"!opened {path}/fd/{fd}")
                except OSError:
                    pass
        except OSError:
            pass
    return found
