"""Only the scratch directory can be written."""

import os
import pathlib


def f(host):
    here = pathlib.Path(__file__)
    places = [
        host["secret"],
        host["folder"] + "/new",
        here,
        here.parent / "new",
        "/new",
        os.__file__,
    ]
    places += ["/etc/new", "/usr/lib/new", "/usr/bin/new", "/var/tmp/new", "/bin/sh", "/lib/new"]
    places += [here.parent.parent / "new", here.parent.parent.parent / "new", "/root/.bashrc"]
    places += ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/self/uid_map"]
    places += ["/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/cgroup.procs", "/dev/kmsg"]
    places += [f"/proc/{host['pid']}/mem", "/proc/1/mem", f"/proc/{host['pid']}/oom_score_adj"]
    found = []
    for place in places:
        try:
            with open(place, "ab") as file:
                if not str(place).startswith("/proc/"):
                    file.write(b"# a candidate was here\n")
            found.append(f"!wrote {place}")
        except OSError:
            continue
    for act in (
        "os.unlink(here)",
        "os.truncate(here, 0)",
        "os.rename(here, 'moved')",
        "os.removexattr(here, 'user.x')",
        "os.mknod('node', 0o600 | 0x2000, os.makedev(1, 3))",
        "os.chroot('.')",
        "os.setuid(0)",
        "os.setgroups([0])",
        "os.link('/etc/passwd', 'linked')",
    ):
        try:
            eval(act)
        except OSError:
            continue
        if act == "os.setuid(0)" and os.stat("/etc").st_uid == os.getuid():
            continue  # root of nothing
        found.append(f"!{act}")
    return found
