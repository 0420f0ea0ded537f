"""Reports the progress of a run."""

from __future__ import annotations

import time
from collections.abc import Sized

from evolver.search.parts import RunParts
from evolver.search.progress import Progress
from evolver.search.steps import Steps

_HEARTBEAT = 0.1  # seconds between two reports, unless there is a message


class Reporter:
    """Makes snapshots of a run and passes them to its listener."""

    def __init__(self, parts: RunParts, steps: Steps, in_flight: Sized) -> None:
        """Begin to report.

        Args:
            parts: of the run.
            steps: of the run.
            in_flight: the attempts in flight.
        """
        self._parts = parts
        self._steps = steps
        self._in_flight = in_flight
        self._reported = 0.0

    def progress(self, message: str = "") -> Progress:
        """Return a snapshot of the run."""
        views, models = self._steps.views, self._parts.models
        population, objective = views.population, views.population.objective
        islands = []
        for island in population.islands:
            elites = island.archive.elites()
            best = objective.values(elites[0].objectives)[0] if elites else None
            islands.append((len(elites), best))
        own, goal = objective.value, self._parts.goal
        score, search_score = population.score, population.search_score
        return Progress(
            evaluations=views.ledger.spent,
            budget=self._parts.budget,
            attempts=population.finished,
            seconds=views.seconds,
            best_score=score,
            best=population.best(),
            front=tuple(population.front),
            value_name=objective.value_name,
            best_value=None if score is None else own(score),
            target=None if goal is None else own(goal),
            is_confirmed=bool(population.evidence.confirmed),
            search_value=None if search_score is None else own(search_score),
            confirming=self._steps.confirming.status,
            islands=tuple(islands),
            operators=dict(views.counts.operators),
            statuses=dict(views.counts.statuses),
            failures=views.counts.failures,
            bills={} if models is None else dict(models.bills),
            troubles=() if models is None else models.troubles,
            notes=() if models is None else tuple(models.notes),
            models=dict(views.counts.models),
            in_flight=len(self._in_flight),
            message=message,
        )

    def report(self, message: str = "", *, force: bool = False) -> None:
        """Pass a snapshot to the listener, unless there was one a moment ago."""
        listener, now = self._parts.listener, time.monotonic()
        if listener is None or not (force or message or now - self._reported >= _HEARTBEAT):
            return
        self._reported = now
        listener(self.progress(message))

    def report_now(self) -> None:
        """Pass a snapshot to the listener."""
        self.report(force=True)
