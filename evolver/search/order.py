"""The order in which finished attempts are committed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from evolver.storage.facts import Outcome


class CommitOrder:
    """Commits attempts as they finish, or by their numbers in a run that must repeat itself."""

    def __init__(self, *, by_number: bool) -> None:
        self._by_number = by_number
        self._next = 0
        self._held: dict[int, Outcome] = {}  # finished before their turn
        self._moved = asyncio.Event()

    def restart(self, first: int) -> None:
        """Begin a session at an attempt, and forget attempts that finished before their turn."""
        self._next = first
        self._held.clear()

    def ready(self, outcome: Outcome) -> Iterator[Outcome]:
        """Take in a finished attempt, and yield the attempts that may be committed now."""
        if not self._by_number:
            yield outcome
            return
        self._held[outcome.attempt.id] = outcome
        while self._next in self._held:
            self._next += 1
            self._moved.set()
            yield self._held.pop(self._next - 1)

    async def turn(self, attempt: int) -> None:
        """Wait until every attempt before this one is committed, and its bill with it."""
        while self._next < attempt:
            self._moved.clear()
            await self._moved.wait()
