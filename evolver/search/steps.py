"""The steps of a run. The engine takes them as work finishes, replay as they were recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from evolver.ports import Conditional
from evolver.routing.recording import Turn
from evolver.search.attempt import AttemptRunner
from evolver.search.confirming import Confirming
from evolver.search.parts import SEED_OPERATOR, RunParts
from evolver.search.views import Views
from evolver.storage.facts import Attempt, Confirmation, Outcome, Round


class Steps:
    """Decides, begins, runs and commits attempts, and takes in confirmations.

    A step depends on its arguments, the run's settings and the facts that were committed before
    it, so the same facts in the same order give the same steps.

    Attributes:
        views: the state of the run; each step updates them.
        confirming: measures programs again before they are announced.
    """

    def __init__(self, parts: RunParts) -> None:
        """Go on from the facts in the store."""
        self._parts = parts
        self.views = Views(parts)
        self.confirming = Confirming(parts, self.views)
        self._runner = AttemptRunner(parts, self.views)

    @property
    def rules(self) -> int:
        """Which rules decide; see `evolver.search.rules`."""
        return self._parts.settings.rules

    # --- one attempt ---------------------------------------------------------------------------

    def operator_of(self, number: int) -> str:
        """Return an attempt's operator: the next in turn that can find a child now."""
        mix = self._parts.mix
        if number < len(self._parts.seeds):
            return SEED_OPERATOR
        return mix.choose() if self.rules < 2 else mix.choose(partial(self._can, number))

    def model_of(self, number: int, operator: str) -> tuple[str, int]:
        """Return which model an attempt asks, and how many attempts share its first request."""
        models, entry = self._parts.models, self._parts.mix.operators.get(operator)
        if models is None or entry is None or not entry.needs_model:
            return "", 1
        return models.choose(self._parts.settings.rng(number, "model"))

    def decide(self, number: int, operator: str, reserved: int) -> Attempt:
        """Decide an attempt.

        Args:
            number: the attempt's.
            operator: of the attempt; see `operator_of`.
            reserved: evaluations that it may spend.
        """
        population = self.views.population
        seen = population.finished
        if operator == SEED_OPERATOR:
            return Attempt(number, seen, SEED_OPERATOR, number % len(population.islands), None)
        asks = self._parts.mix.operators[operator].needs_model
        rng = self._parts.settings.rng(number, "select")
        chosen = population.select(number, rng, diverse=asks)
        return Attempt(
            number,
            seen,
            operator,
            chosen.island,
            chosen.parent.program.id,
            tuple(elite.program.id for elite in chosen.inspirations),
            reserved,
            self.model_of(number, operator)[0],
        )

    def begin(self, *attempts: Attempt) -> None:
        """Store decisions before anything is spent on them."""
        for attempt in attempts:
            self.views.begin(attempt)
        self._parts.store.begin(*attempts)

    def hold(self, attempt: Attempt) -> None:
        """Count an attempt as in flight, though this run does not work on it."""
        self.views.hold(attempt)

    async def run(
        self,
        attempt: Attempt,
        say: Callable[[str], None] = lambda _message: None,
        turn: Turn | None = None,
    ) -> Outcome:
        """Run an attempt that has begun, to its verdict.

        Args:
            attempt: as it was decided.
            say: tells the user a sentence.
            turn: is awaited before each request to a model.

        Raises:
            BudgetSpent: too few tokens or dollars are left for a request.
            EvolverError: an error that the run must stop for.
        """
        try:
            return await self._runner.run(attempt, say, turn)
        finally:
            if self._parts.models is not None:
                self._parts.models.end(attempt)

    async def pass_gate(self, outcome: Outcome, say: Callable[[str], None]) -> None:
        """Judge known-bad programs after the seed, before its outcome is committed.

        A run that fails at the gate therefore stays empty. Outcomes of other attempts pass.

        Raises:
            UsageError: the evaluator prefers a known-bad program to the seed.
            SandboxError: this host cannot run candidates.
        """
        gate, elite = self._parts.gate, outcome.elite
        if gate is not None and outcome.attempt.id == 0 and elite is not None:
            job_seed = self._parts.settings.job_seed(0, "score")
            await gate.check(self._parts.executor, elite, job_seed, say)

    def commit(self, outcome: Outcome) -> bool:
        """Store an outcome and update the views; return whether the score rose."""
        self._parts.store.finish(outcome)
        return self.views.finish(outcome)

    def _can(self, number: int, operator: str) -> bool:
        """Whether an operator could find a child in an attempt."""
        part = self._parts.mix.operators[operator].operator
        if not isinstance(part, Conditional):
            return True
        return part.can_propose(self._runner.context(self.decide(number, operator, 0)))

    # --- confirmations -------------------------------------------------------------------------

    def confirm(self, confirmation: Confirmation) -> None:
        """Store a measurement by the rules of older runs, and update the views."""
        self._parts.store.confirm(confirmation)
        self.views.confirm(confirmation)

    def contenders(self) -> tuple[int, ...]:
        """Return the programs that a round would measure now."""
        return self.confirming.contenders()

    def close(self, round_: Round, rows: Sequence[Confirmation]) -> None:
        """Store a recorded round with its measurements, and update the views."""
        self.confirming.close(round_, rows)


def following(leader: Attempt, number: int, reserved: int) -> Attempt:
    """Return the attempt that shares another's decision and first request."""
    return replace(leader, id=number, reserved=reserved, leader=leader.id)
