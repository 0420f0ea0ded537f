"""Its files are removed, whatever their modes and their depth."""

import os


def f(host):
    os.makedirs("/".join("deep" * 3 for _ in range(100)))
    os.makedirs("closed/inner")
    open("closed/inner/file", "w").close()
    os.chmod("closed/inner", 0)
    os.chmod("closed", 0)
    os.symlink(".", "loop")
    os.mkfifo("fifo")
    os.chmod(".", 0)
    return []
