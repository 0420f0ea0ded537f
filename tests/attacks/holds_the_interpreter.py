"""An evaluation ends at its deadline: this loop in C never lets another thread of Python run."""

SECONDS = 0.5


def f(host):
    return 3 ** (3**30)
