"""The mix chooses the operator of an attempt by shares of evaluations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evolver.ports import Operator

_IDLE = 0.25


@dataclass(frozen=True)
class Weighted:
    """An operator with its weight in the mix."""

    name: str
    operator: Operator
    weight: float
    needs_model: bool = False


class Mix:
    """Chooses the operator that is furthest behind its share of the evaluations.

    A genetic operator proposes hundreds of children a second, so without shares it would take all
    evaluations from an operator with a model. A share counts the evaluations that attempts spent,
    and those that attempts in flight have reserved. An attempt that spends none counts a quarter:
    an operator whose children are filtered out soon has another turn, and one that finds no child
    does not block the others. With a model it counts as one, because its completion was paid for.
    """

    def __init__(self, operators: list[Weighted], *, model_share: float = 0.7) -> None:
        """Turn weights into shares.

        Args:
            operators: at least one, weights above zero.
            model_share: part of the evaluations that operators with a model get together, where
                there are operators of both kinds.
        """
        self.operators = {entry.name: entry for entry in operators}
        kinds = Counter[bool]()
        for entry in operators:
            kinds[entry.needs_model] += 1
        totals = {
            kind: sum(entry.weight for entry in operators if entry.needs_model is kind)
            for kind in kinds
        }
        part = (
            {True: model_share, False: 1 - model_share}
            if len(kinds) > 1
            else dict.fromkeys(kinds, 1.0)
        )
        self.shares: Mapping[str, float] = {
            entry.name: part[entry.needs_model] * entry.weight / totals[entry.needs_model]
            for entry in operators
        }
        self._spent = dict.fromkeys(self.shares, 0.0)
        self._begun = Counter[str]()

    def choose(self, can: Callable[[str], bool] = lambda _name: True) -> str:
        """Return the name of the operator whose turn it is.

        Args:
            can: can an operator find a child now? One that cannot keeps its share for later. If
                none can, all are considered.
        """
        counts = {name: self._spent[name] + self._begun[name] for name in self.shares}
        total = sum(counts.values()) + 1
        ranked = sorted(self.shares, key=lambda name: counts[name] - self.shares[name] * total)
        return next((name for name in ranked if can(name)), ranked[0])

    def begin(self, name: str, reserved: int = 1) -> None:
        """Count an attempt in flight by what it may spend."""
        self._begun[name] += reserved

    def finish(self, name: str, spent: int, reserved: int = 1) -> None:
        """Count what a finished attempt spent of what it had reserved."""
        self._begun[name] -= reserved
        idle = 1.0 if self.operators[name].needs_model else _IDLE
        self._spent[name] += spent or idle
