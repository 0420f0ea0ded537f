"""What a run may spend, has spent, and has reserved for attempts and requests in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from evolver.errors import EvolverError, UsageError
from evolver.storage.totals import Bill
from evolver.types import Bound


@dataclass(frozen=True)
class Budget:
    """Limits of a run; None is no limit. The run stops at the first one that is reached.

    Attributes:
        evaluations: calls of the evaluator for a score, including the seed's and those of tuning.
        seconds: wall clock over all sessions.
        dollars: price of all completions; needs known prices.
        tokens: prompt and completion tokens together.
        target: the run stops once this is confirmed: a value of the metric in its own unit, or of
            the hypervolume; by the rules of older runs a score.
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
    """Counts tokens and dollars against the budget, so that no request exceeds it.

    A request reserves the upper bound of its cost before it is sent. An unknown cost is charged at
    its upper bound. A request without a bound is charged when it is answered.
    """

    def __init__(self, budget: Budget, spent: Iterable[tuple[Bound, Bill]] = ()) -> None:
        """Start with the bounds and the bills of the requests of earlier sessions."""
        self._budget = budget
        self._tokens = 0
        self._dollars = 0.0
        self._reserved: list[Bound] = []
        self._settled = asyncio.Event()
        for bound, bill in spent:
            self._charge(bound, bill)

    async def reserve(self, bound: Bound) -> None:
        """Reserve the bound of a request; if it may exceed the limit, wait for requests in flight.

        Raises:
            BudgetSpent: it exceeds the limit, and no request in flight can free a reservation.
        """
        while (limit := self._lacks(bound)) is not None:
            if not self._reserved:
                raise BudgetSpent(limit, bound)
            self._settled.clear()
            await self._settled.wait()
        self._reserved.append(bound)

    def settle(self, bound: Bound, bill: Bill) -> None:
        """Charge the cost of a request and release the rest of its reservation.

        Raises:
            UsageError: there is a limit in dollars, and neither a price nor a bound is known.
        """
        self._reserved.remove(bound)
        self._charge(bound, bill)
        self._settled.set()
        if self._budget.dollars is not None and bill.dollars is None and bound.dollars is None:
            raise UsageError(
                "a limit in dollars needs prices, and a completion came without one; set "
                "prompt_price and completion_price of the [[model]], or drop --dollars"
            )

    def _charge(self, bound: Bound, bill: Bill) -> None:
        # An answer without a count of its tokens has no price either.
        is_known = not bill.unknown and (bill.tokens > 0 or bill.dollars is not None)
        self._tokens += bill.tokens if is_known else bound.tokens or 0
        dollars = bill.dollars if is_known else None
        self._dollars += (bound.dollars or 0.0) if dollars is None else dollars

    def _lacks(self, bound: Bound) -> str | None:
        """Return the limit that a request could exceed, if any."""
        reserved = [*self._reserved, bound]
        tokens = self._tokens + sum(each.tokens or 0 for each in reserved)
        dollars = self._dollars + sum(each.dollars or 0.0 for each in reserved)
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
        """Start with the evaluations of earlier sessions."""
        self._limit = limit
        self.spent = spent
        self._reserved: dict[int, int] = {}

    @property
    def left(self) -> int | None:
        """Evaluations that are not reserved yet; None without a limit."""
        if self._limit is None:
            return None
        return max(0, self._limit - self.spent - sum(self._reserved.values()))

    def reserve(self, attempt: int, wanted: int) -> int:
        """Reserve up to `wanted` evaluations for an attempt; return how many (0: none left)."""
        left = self.left
        granted = wanted if left is None else min(wanted, left)
        if granted > 0:
            self._reserved[attempt] = granted
        return granted

    def hold(self, attempt: int, reserved: int) -> None:
        """Renew the reservation of an attempt that an earlier session left in flight."""
        self._reserved[attempt] = reserved

    def affords(self, attempt: int) -> bool:
        """Whether an attempt left in flight, and those before it, are within the limit."""
        held = sum(count for number, count in self._reserved.items() if number <= attempt)
        return self._limit is None or self.spent + held <= self._limit

    def granted(self, attempt: int) -> int:
        """How many evaluations an attempt in flight may spend."""
        return self._reserved.get(attempt, 0)

    def settle(self, attempt: int, spent: int) -> None:
        """Charge what an attempt spent and release the rest of its reservation."""
        self._reserved.pop(attempt, None)
        self.spent += spent
