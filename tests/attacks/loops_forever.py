"""An evaluation ends at its deadline: this one never returns."""

SECONDS = 0.5


def f(host):
    while True:
        pass
