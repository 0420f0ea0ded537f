"""The ledgers: what a run may spend, has spent, and has promised to what is in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from evolver.errors import EvolverError, UsageError
from evolver.storage.totals import Bill
from evolver.types import Bound


@dataclass(frozen=True)
class Budget:
    """Limits of a run; None is no limit. The first one reached stops it.

    Attributes:
        evaluations: calls of the evaluator for a score, the seed's and tuning's included.
        seconds: wall clock over all sessions.
        dollars: price of all completions. Refused where a price is unknown.
        tokens: prompt and completion tokens together.
        target: at which nothing better is wanted, once it is confirmed: of the metric in its own
            unit, or the hypervolume; by the rules of older runs a score.
    """

    evaluations: int | None = None
    seconds: float | None = None
    dollars: float | None = None
    tokens: int | None = None
    target: float | None = None


class BudgetSpent(EvolverError):  # noqa: N818 - named as its sisters in errors.py
    """A request may cost more than is left of `limit`: "tokens" or "dollars"."""

    def __init__(self, limit: str, bound: Bound) -> None:
        most = bound.tokens if limit == "tokens" else bound.dollars
        about = "" if most is None else f": it may cost {most:.6g}"
        super().__init__(f"too few {limit} are left for another request{about}")
        self.limit = limit


class SpendingLimit:
    """Counts tokens and dollars against the budget, which they never pass.

    A request reserves the most that it can cost before it is sent. What nobody knows the cost of
    counts as that most. A model that names no bound is counted when it has answered.
    """

    def __init__(self, budget: Budget, spent: Iterable[tuple[Bound, Bill]] = ()) -> None:
        """Start with the bounds and the bills of the requests of earlier sessions."""
        self._budget = budget
        self._tokens = 0
        self._dollars = 0.0
        self._reserved: list[Bound] = []
        self._settled = asyncio.Event()
        for bound, bill in spent:
            self._book(bound, bill)

    async def reserve(self, bound: Bound) -> None:
        """Reserve what a request can cost; where it may be too much, wait for what is in flight.

        Raises:
            BudgetSpent: it is too much, and nothing in flight could still cost less.
        """
        while (limit := self._lacks(bound)) is not None:
            if not self._reserved:
                raise BudgetSpent(limit, bound)
            self._settled.clear()
            await self._settled.wait()
        self._reserved.append(bound)

    def settle(self, bound: Bound, bill: Bill) -> None:
        """Book what a request cost and give the rest of its reservation back.

        Raises:
            UsageError: there is a limit in dollars, and neither a price nor a bound is known.
        """
        self._reserved.remove(bound)
        self._book(bound, bill)
        self._settled.set()
        if self._budget.dollars is not None and bill.dollars is None and bound.dollars is None:
            raise UsageError(
                "a limit in dollars needs prices, and a completion came without one; set "
                "prompt_price and completion_price of the [[model]], or drop --dollars"
            )

    def _book(self, bound: Bound, bill: Bill) -> None:
        # An answer without a count of its tokens has no price either.
        is_told = not bill.unknown and (bill.tokens > 0 or bill.dollars is not None)
        self._tokens += bill.tokens if is_told else bound.tokens or 0
        dollars = bill.dollars if is_told else None
        self._dollars += (bound.dollars or 0.0) if dollars is None else dollars

    def _lacks(self, bound: Bound) -> str | None:
        """Return which limit a request could pass, if any."""
        promised = [*self._reserved, bound]
        tokens = self._tokens + sum(each.tokens or 0 for each in promised)
        dollars = self._dollars + sum(each.dollars or 0.0 for each in promised)
        limits = self._budget
        if limits.tokens is not None and (tokens > limits.tokens or self._tokens >= limits.tokens):
            return "tokens"
        if limits.dollars is not None and (
            dollars > limits.dollars or self._dollars >= limits.dollars
        ):
            return "dollars"
        return None


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

    def affords(self, attempt: int) -> bool:
        """Whether an attempt that was left in flight, and those before it, are within the limit."""
        held = sum(count for number, count in self._reserved.items() if number <= attempt)
        return self._limit is None or self.spent + held <= self._limit

    def granted(self, attempt: int) -> int:
        """What an attempt in flight may still spend."""
        return self._reserved.get(attempt, 0)

    def settle(self, attempt: int, spent: int) -> None:
        """Book what an attempt spent and give the rest of its reservation back."""
        self._reserved.pop(attempt, None)
        self.spent += spent
