"""Files are counted and removed even if their path is longer than any path may be."""

import os
import time

SECONDS = 3.0


def f(host):
    for _ in range(40):
        os.mkdir("d" * 200, 0o300)  # writable, not readable
        os.chdir("d" * 200)
    block = b"x" * (1 << 20)
    for number in range(10):
        with open(f"big{number}", "wb") as file:
            for _ in range(40):
                file.write(block)
    time.sleep(0.5)
    return ["!wrote 400 MiB"]
