"""Which of a run's models an attempt asks: a function of the finished attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Protocol

from evolver.storage.totals import Bill

_TRIALS = 3  # finished attempts before a model's rate of success is believed


class Choice(Protocol):
    """Chooses among the models of a run."""

    def choose(self, rng: Random) -> str:
        """Return the name of the model that an attempt asks; `rng` is the only source of chance."""
        ...

    def learn(self, model: str, *, is_better: bool, bill: Bill) -> None:
        """Take in a finished attempt, in commit order.

        Args:
            model: the model that it asked.
            is_better: whether its child beats the parent.
            bill: what its requests cost.
        """
        ...


class ByWeight:
    """Chooses each model as often as its weight says."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        """Take the weights, above zero, by the models' names."""
        self._weights = dict(weights)

    def choose(self, rng: Random) -> str:
        """Return a name, drawn by the weights."""
        return rng.choices(list(self._weights), list(self._weights.values()))[0]

    def learn(self, model: str, *, is_better: bool, bill: Bill) -> None:
        """Do nothing: weights stay."""


@dataclass
class _Record:
    attempts: int = 0
    better: int = 0
    tokens: int = 0
    dollars: float | None = 0.0


class Bandit:
    """Chooses the model that promises the most improvements for the money.

    Budgeted Thompson sampling (Xia 2015, https://arxiv.org/abs/1505.00146): the rate at which a
    model's children beat their parents is drawn from its Beta posterior, and the model with the
    highest rate per dollar is asked. The paper draws the costs too; here a model's cost is its mean
    so far, which varies much less. If a price is unknown or zero, all costs are in tokens, and if
    those are unknown too, in attempts: costs in different units cannot be compared.
    A model with fewer than three finished attempts goes first; among several the weights decide.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        """Take the weights, above zero, by the models' names."""
        self._weights = dict(weights)
        self._records = {name: _Record() for name in weights}

    def choose(self, rng: Random) -> str:
        """Return the model with the highest drawn rate per cost."""
        new = {n: w for n, w in self._weights.items() if self._records[n].attempts < _TRIALS}
        if new:
            return ByWeight(new).choose(rng)
        records = self._records.values()
        units = ("dollars", "tokens", "attempts")
        unit = next(unit for unit in units if all(getattr(record, unit) for record in records))

        def promise(record: _Record) -> float:
            rate = rng.betavariate(1 + record.better, 1 + record.attempts - record.better)
            return rate * record.attempts / float(getattr(record, unit))

        promises = {name: promise(record) for name, record in self._records.items()}
        return max(promises, key=lambda name: promises[name])

    def learn(self, model: str, *, is_better: bool, bill: Bill) -> None:
        """Take in a finished attempt; ignore a model that the run no longer has."""
        record = self._records.get(model)
        if record is None:
            return
        record.attempts += 1
        record.better += is_better
        record.tokens += bill.tokens
        known = record.dollars is not None and bill.dollars is not None
        record.dollars = (record.dollars or 0.0) + (bill.dollars or 0.0) if known else None
