"""A file that is collected is what the candidate itself may read: links lead nowhere."""

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
