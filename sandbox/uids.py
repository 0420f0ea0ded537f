"""Uids that a runner of root gives to candidates: which there are, and which are free."""

from __future__ import annotations

import random
from pathlib import Path

_FRESH_UIDS = 1 << 30  # the first; no distribution and no user uses uids from here on
RANGE = 65_535


def can_give_uids(mapped: str) -> bool:
    """May root change its uid here? Not where root is an ordinary user mapped to 0.

    Args:
        mapped: the contents of /proc/self/uid_map: the uids that exist here.
    """
    uids = sum(int(line.split()[2]) for line in mapped.splitlines())
    setgroups = Path("/proc/self/setgroups")
    return uids > 1 and not (setgroups.exists() and setgroups.read_text().strip() == "deny")


def fresh_uids(mapped: str) -> tuple[int, int]:
    """Return the first uid of an unused range, and the size of the range.

    Args:
        mapped: the contents of /proc/self/uid_map: the uids that exist here. An engine that maps
            users gives a container 65,536.
    """
    first, _, count = (int(word) for word in mapped.splitlines()[-1].split())
    if first + count > _FRESH_UIDS + (RANGE + 1 << 14):
        return _FRESH_UIDS + random.SystemRandom().randrange(1 << 14) * (RANGE + 1), RANGE
    return first + count // 2, max(1, count // 2)
