"""An exit code is not a result: this one exits with 0 before it computes."""

import os


def double(x):
    os._exit(0)
