"""An evaluation ends at its deadline: this regular expression backtracks for ages."""

import re

SECONDS = 0.5


def f(host):
    return re.match(r"(a+)+$", "a" * 60 + "b")
