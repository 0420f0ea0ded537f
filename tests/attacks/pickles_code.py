"""Nothing that comes back is executed: unpickling this one writes a file."""

import os


class Loaded:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"echo pwned > {self.path}",)


def f(host):
    return Loaded(host["folder"] + "/" + host["name"])
