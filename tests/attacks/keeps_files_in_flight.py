"""The disk is limited: these files are removed, closed and in flight in a socket."""

import os
import socket
import time

SECONDS = 3.0


def f(host):
    block = b"x" * (1 << 20)
    ours, theirs = socket.socketpair()
    for number in range(16):
        with open("hidden", "wb", buffering=0) as file:
            os.unlink("hidden")
            for _ in range(40):
                file.write(block)
            socket.send_fds(ours, [b"!"], [file.fileno()])
    time.sleep(0.5)
    return ["!wrote 640 MiB"]
