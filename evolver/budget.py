"""The ledger: what a run may spend, has spent, and has promised to attempts in flight."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Limits of a run; None is no limit. The first one reached stops it.

    Attributes:
        evaluations: calls of the evaluator for a score, the seed's and tuning's included.
        seconds: wall clock over all sessions.
        dollars: price of all completions. Refused where a price is unknown.
        tokens: prompt and completion tokens together.
        target: a score at which nothing better is wanted.
    """

    evaluations: int | None = None
    seconds: float | None = None
    dollars: float | None = None
    tokens: int | None = None
    target: float | None = None


class Ledger:
    """Counts evaluations against the budget: reserve before spending, settle after."""

    def __init__(self, limit: int | None, spent: int = 0) -> None:
        """Start with what earlier sessions spent."""
        self._limit = limit
        self.spent = spent
        self._reserved: dict[int, int] = {}

    @property
    def left(self) -> int | None:
        """Evaluations that nobody has reserved yet; None without a limit."""
        if self._limit is None:
            return None
        return max(0, self._limit - self.spent - sum(self._reserved.values()))

    def reserve(self, attempt: int, wanted: int) -> int:
        """Promise up to `wanted` evaluations to an attempt; return how many (0: none left)."""
        left = self.left
        granted = wanted if left is None else min(wanted, left)
        if granted > 0:
            self._reserved[attempt] = granted
        return granted

    def hold(self, attempt: int, reserved: int) -> None:
        """Renew the promise of an earlier session to an attempt that it left in flight."""
        self._reserved[attempt] = reserved

    def granted(self, attempt: int) -> int:
        """What an attempt in flight may still spend."""
        return self._reserved.get(attempt, 0)

    def settle(self, attempt: int, spent: int) -> None:
        """Book what an attempt spent and give the rest of its reservation back."""
        self._reserved.pop(attempt, None)
        self.spent += spent
