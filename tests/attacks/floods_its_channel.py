"""A child that stays behind and floods the channel delays nothing."""

import os

SECONDS = 1.0


def f(host):
    if os.fork() == 0:
        while True:
            for fd in range(3, 64):
                try:
                    os.write(fd, b"\0\0\0\2\0\0\0\0\0\0\0\0{}" * 5000)
                except OSError:
                    pass
    return []
