"""The evaluator collects only files that the candidate may read: links do not help."""

import os

READ = ("link", "deep/link", "fifo", "device", "process")


def f(host):
    os.makedirs("deep", exist_ok=True)
    os.symlink(host["secret"], "link")
    os.symlink("../../../../../../../.." + host["secret"], "deep/link")
    os.mkfifo("fifo")
    os.symlink("/dev/zero", "device")
    os.symlink(f"/proc/{host['pid']}/environ", "process")
    return []
