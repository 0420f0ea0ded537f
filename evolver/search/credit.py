"""Credit: which kinds of edits give children that run and compute something new.

Credit is a function of the finished attempts in commit order. An attempt asks for it as of the
moment when it began, so resume, replay and fork give the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from evolver.operators.summaries import edits_of
from evolver.storage.facts import Outcome

_RATE = 0.05  # weight of one child: about the last twenty of a kind count


class Credit:
    """How often each kind of edit succeeds: a decayed share between 0 and 1.

    A child succeeds if it runs and its metrics differ from its parent's. A failure counts in part
    against each of the child's edits, since one of them is the cause. If an evaluator is noisy, or
    draws other inputs for each program, a child that computes the same is not recognised.
    """

    def __init__(self) -> None:
        """Start with every kind at 1, as if it always succeeded."""
        self._shares: dict[str, list[tuple[int, float]]] = {}  # kind -> finished attempts, share
        self._metrics: dict[int, Mapping[str, float]] = {}
        self._finished = 0

    def record(self, outcome: Outcome) -> None:
        """Take in one finished attempt, in commit order."""
        self._finished += 1
        program, evaluation = outcome.program, outcome.evaluation
        if program is not None and evaluation is not None:
            self._metrics[program.id] = evaluation.metrics
        success = self._success(outcome)
        if success is None or outcome.attempt.model:
            return
        kinds = edits_of(outcome.summary if program is None else program.summary)
        rate = _RATE if success else _RATE / max(1, len(kinds))
        for kind in dict.fromkeys(kinds):
            shares = self._shares.setdefault(kind, [])
            share = shares[-1][1] if shares else 1.0
            shares.append((self._finished, share + rate * (success - share)))

    def _success(self, outcome: Outcome) -> bool | None:
        """Tell whether a child ran and is new; None if the outcome is not due to its edits."""
        evaluation, parent = outcome.evaluation, outcome.attempt.parent
        if parent is None or outcome.verdict == "unproposed":
            return None
        if evaluation is None:
            return False  # it failed in its pre-flight, or computes the same as another program
        if evaluation.fault == "evaluator":
            return None
        runs = evaluation.status in ("ok", "rejected")
        return runs and evaluation.metrics != self._metrics.get(parent)

    def shares(self, upto: int) -> Mapping[str, float]:
        """Return kind of edit -> share, by the first `upto` finished attempts; 1 where missing."""
        found = {}
        for kind, shares in self._shares.items():
            known = bisect_right(shares, upto, key=lambda entry: entry[0])
            if known:
                found[kind] = shares[known - 1][1]
        return found
