"""The disk is limited: this one writes large files."""

import time

SECONDS = 3.0


def f(host):
    block = b"x" * (1 << 20)
    for number in range(10):
        with open(f"big{number}", "wb") as file:
            for _ in range(40):
                file.write(block)
    time.sleep(0.5)
    return ["!wrote 400 MiB"]
