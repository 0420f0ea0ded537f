"""The operator `refit`: fits the float literals of the parent again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evolver.errors import ProposalError
from evolver.operators.genetic.child import applies_to
from evolver.programs import literals
from evolver.types import Context, Proposal, Tune


@dataclass(frozen=True)
class Refit:
    """Propose the parent for a fit of its float literals, by what `Tune` says.

    Edits of the structure and a short fit of each find which form is good; this finds what the best
    forms can give. Where the evaluator has no `residuals` it spends up to `limit` evaluations on
    one program by CMA-ES, so give it a small weight and a large limit.

    Attributes:
        limit: see `Tune.limit`.
        starts: see `Tune.starts`.
        times: how often a structure is fitted before it is left alone.
        spreads: see `Tune.spread`; one is drawn for each fit. Measured with 32 coordinates of
            points that nearly touch: 0.005 gained in 2,000 evaluations, 0.2 lost.
    """

    limit: int = 1000
    starts: int = 48
    times: int = 8
    spreads: tuple[float, ...] = (0.2, 0.02, 0.005)
    tune: ClassVar[bool] = True

    applies_to = staticmethod(applies_to)

    def can_propose(self, context: Context) -> bool:
        """Does the parent have literals that were not fitted often enough?"""
        files = context.parent.program.files
        return bool(literals.find(files)) and context.fits(files) < self.times

    async def propose(self, context: Context) -> Proposal:
        """Return the parent, to be fitted.

        Raises:
            ProposalError: it has no float literals, or was fitted often enough.
        """
        files = context.parent.program.files
        count = len(literals.find(files))
        if count == 0:
            raise ProposalError("the parent has no float literals to fit")
        if context.fits(files) >= self.times:
            raise ProposalError("the parent's literals were fitted often enough")
        spread = context.rng.choice(self.spreads)
        tune = Tune(self.limit, self.starts, spread=spread)
        return Proposal(files, f"fit {count} literals", tune=tune)
