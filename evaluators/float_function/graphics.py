"""Guest code: calls the kernel that the evaluator wrote of the candidate, on a GPU.

Nobody believes it: see compiled.py, of which this is the form for a GPU.
"""

import importlib.util

_terms = []


def prepare(binade, rounds, device):
    """Load the kernel, and set what it is to be called with."""
    spec = importlib.util.spec_from_file_location("kernel", "kernel.py")
    kernel = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kernel)
    _terms[:] = [kernel, device, binade, rounds]


def values(first, count):
    """Return the values at `count` floats from that with the bits `first`, as bytes."""
    kernel, device, *_ = _terms
    return kernel.values(first, count, device).cpu().numpy().tobytes()


def fold(x, secret, out):
    """Set each output to a sum of the bits of many values: see harness.c."""
    kernel, _, binade, rounds = _terms
    kernel.fold(x, secret, out, binade, rounds)
