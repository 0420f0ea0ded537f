"""A crash is reported in time: the text of this exception never ends."""

SECONDS = 0.5


class Endless(Exception):
    def __str__(self):
        while True:
            pass


def f(host):
    raise Endless
