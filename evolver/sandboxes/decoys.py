"""The decoy key: detects that a candidate gave it away."""

from __future__ import annotations


class DecoyKey:
    """Searches for a key in the bytes that come from a candidate, also across two pieces.

    Args:
        key: it; long, so that it is searched for quickly.

    Attributes:
        was_given: has it been found?
    """

    def __init__(self, key: str) -> None:
        self.was_given = False
        self._key = key.encode()
        self._tail = b""  # the end of what came last

    def look(self, piece: bytes | bytearray) -> None:
        """Search the next piece."""
        before = len(self._key) - 1
        self.was_given |= self._key in piece or self._key in self._tail + piece[:before]
        self._tail = bytes((self._tail + piece[-before:])[-before:])
