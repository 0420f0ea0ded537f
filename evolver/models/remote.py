"""The switch that forbids every request beyond this machine.

Tests turn remote requests off, so that no paid call can happen by accident. A user can do the same
with ``EVOLVER_ALLOW_REMOTE_REQUESTS=0`` in the environment.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from urllib.parse import urlsplit

from evolver.errors import UsageError

ALLOW_REMOTE_REQUESTS: bool = os.environ.get("EVOLVER_ALLOW_REMOTE_REQUESTS", "1") != "0"


def is_loopback(address: str) -> bool:
    """Is this URL's host this machine?"""
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def refusal(address: str) -> str:
    """Return why no request may go to `address`; "" where requests may."""
    if ALLOW_REMOTE_REQUESTS or is_loopback(address):
        return ""
    return (
        f"a request to {address} was stopped: requests beyond this machine are switched off "
        "(EVOLVER_ALLOW_REMOTE_REQUESTS=0, or evolver.models.remote.ALLOW_REMOTE_REQUESTS)"
    )


def check_allowed(address: str) -> None:
    """Raise where no request may go to `address`.

    Raises:
        UsageError: it is not on this machine, and `ALLOW_REMOTE_REQUESTS` is off.
    """
    if said := refusal(address):
        raise UsageError(said)
