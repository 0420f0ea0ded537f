"""No result is executed: an array of objects is a pickle."""


class Loaded:
    def __reduce__(self):
        return eval, ("['!unpickled an array']",)


def f(host):
    try:
        import numpy
    except ImportError:
        return []
    return numpy.array([Loaded()], dtype=object)
