"""What it wrote is counted and removed, though no path is long enough to name where it lies."""

import os
import time

SECONDS = 3.0


def f(host):
    for _ in range(40):
        os.mkdir("d" * 200, 0o300)  # it may write there, and nobody may look
        os.chdir("d" * 200)
    block = b"x" * (1 << 20)
    for number in range(10):
        with open(f"big{number}", "wb") as file:
            for _ in range(40):
                file.write(block)
    time.sleep(0.5)
    return ["!wrote 400 MiB"]
