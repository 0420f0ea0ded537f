"""No result is executed: unpickling this one would write a file."""

import os


class Loaded:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"echo pwned > {self.path}",)


def f(host):
    return Loaded(host["folder"] + "/" + host["name"])
