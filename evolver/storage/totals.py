"""Totals over the facts of a run: what requests cost, and what pre-flights found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evolver.types import Completion


@dataclass(frozen=True)
class Bill:
    """The cost of requests together; `dollars` is None if one price is unknown.

    `unknown` counts requests whose cost is unknown: the connection was cut, or the run stopped or
    was killed while they were in flight. The other figures leave them out. `empty` counts answers
    without text, `exhausted` those among them whose reasoning used up the tokens.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float | None = 0.0
    unknown: int = 0
    empty: int = 0
    exhausted: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    @classmethod
    def of_answers(cls, answers: Sequence[Completion]) -> Bill:
        """Return the cost of one request from its completions."""
        return cls(
            1,
            sum(answer.prompt_tokens for answer in answers),
            sum(answer.completion_tokens for answer in answers),
            _sum(answer.dollars for answer in answers),
            empty=sum(answer.is_empty for answer in answers),
            exhausted=sum(a.is_empty and a.finish_reason == "length" for a in answers),
        )

    @classmethod
    def of_failure(cls, known: Completion | None) -> Bill:
        """Return the cost of a failed request; None: unknown."""
        if known is None:
            return cls(unknown=1)
        return cls(0, known.prompt_tokens, known.completion_tokens, known.dollars)

    def __add__(self, other: Bill) -> Bill:
        """Return the sum of both bills."""
        return Bill(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            _sum((self.dollars, other.dollars)),
            self.unknown + other.unknown,
            self.empty + other.empty,
            self.exhausted + other.exhausted,
        )


def _sum(prices: Iterable[float | None]) -> float | None:
    known = list(prices)
    return None if None in known else sum(price or 0.0 for price in known)


@dataclass(frozen=True)
class PreflightCounts:
    """What pre-flights found. Each failure saved an evaluation."""

    made: int
    failed: int  # children that failed theirs
    mended: int  # children whose repair passed
    seconds: float
