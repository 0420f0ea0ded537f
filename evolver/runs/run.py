"""The results of a run: programs, front, score, evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from evolver.errors import UsageError
from evolver.evaluation.failures import Failures, paths_of
from evolver.runs.recorded import BEST, Recorded
from evolver.search.counts import OutcomeCounts
from evolver.search.evidence import SEED, Evidence, Verdict, establishes, in_order
from evolver.search.population import front_of
from evolver.search.progress import ModelRecord
from evolver.tasks.objective import dominates
from evolver.types import Elite


class Run(Recorded):
    """The results of a run, computed from its record; the run may still be at work."""

    @cached_property
    def evidence(self) -> Evidence:
        """The repeated measurements of programs, and their comparison with the seed."""
        evidence = Evidence()
        for event in in_order(self.outcomes, self.confirmations, self.rounds):
            if isinstance(event, Verdict):
                evidence.add(event)
        return evidence

    @cached_property
    def models(self) -> Mapping[str, ModelRecord]:
        """Counts of the attempts that asked a model, by its name."""
        counts, reached = OutcomeCounts(), list[tuple[float, ...]]()
        score: float | None = None
        for outcome in self.outcomes:
            new = None if outcome.evaluation is None else outcome.evaluation.objectives
            before = score
            if new is not None and not any(old == new or dominates(old, new) for old in reached):
                reached = [old for old in reached if not dominates(new, old)] + [new]
                score = self.objective.score(reached)
            is_higher = score is not None and (before is None or score > before)
            counts.add(outcome, improved=is_higher)
        return counts.models

    @cached_property
    def failures(self) -> Failures:
        """The failed evaluations, by kind and place."""
        evaluations = [o.evaluation for o in self.outcomes if o.evaluation is not None]
        return Failures.of(evaluations, paths_of(self.task.files, self.task.readonly))

    @cached_property
    def searched(self) -> Mapping[int, Elite]:
        """Every program with status "ok", by id, with the search's measurement."""
        found = (outcome.elite for outcome in self.outcomes)
        return {elite.program.id: elite for elite in found if elite is not None}

    @cached_property
    def elites(self) -> Mapping[int, Elite]:
        """Every program with status "ok", by id, with its confirmed value if there is one."""
        known = self.evidence.confirmed
        return {
            id_: known[id_].revalued(elite) if id_ in known else elite
            for id_, elite in self.searched.items()
        }

    @cached_property
    def failed(self) -> frozenset[int]:
        """The programs that failed when they were measured again."""
        alone = {
            again.program
            for again in self.confirmations
            if not again.round and again.evaluation.status != "ok"
        }
        return frozenset(alone | self.evidence.failed)

    @cached_property
    def front(self) -> Sequence[Elite]:
        """The programs that no other dominates, sorted by the first objective, best first.

        Once any program is confirmed, only confirmed programs count. A program whose confirmation
        failed never does.
        """
        known = self.evidence.confirmed
        return front_of(
            elite
            for id_, elite in self.elites.items()
            if id_ not in self.failed and (not known or id_ in known)
        )

    @cached_property
    def search_front(self) -> Sequence[Elite]:
        """The front by the values of the search alone, each measured once."""
        return front_of(e for id_, e in self.searched.items() if id_ not in self.failed)

    @cached_property
    def deviations(self) -> Mapping[int, float]:
        """How far repeated measurements are from the search's, by program id.

        The largest relative difference of an objective; 0 is an exact repetition. Programs that
        were not measured again are missing.
        """
        found: dict[int, float] = {}
        closed = {0, *(one.number for one in self.rounds if one.is_closed)}
        for again in self.confirmations:
            elite = self.searched.get(again.program)
            if elite is None or again.program in self.failed or again.evaluation.objectives is None:
                continue
            if again.round not in closed:
                continue
            largest = max(
                abs(new - old) / max(abs(new), abs(old), 1e-300)
                for new, old in zip(again.evaluation.objectives, elite.objectives, strict=True)
            )
            found[again.program] = max(largest, found.get(again.program, 0.0))
        return found

    @property
    def score(self) -> float | None:
        """The score of the front, higher is better; with several objectives its hypervolume."""
        return self.objective.score(elite.objectives for elite in self.front)

    @property
    def search_score(self) -> float | None:
        """The score of the search's own front, biased upwards if the evaluator is noisy."""
        return self.objective.score(elite.objectives for elite in self.search_front)

    @property
    def best(self) -> Elite | None:
        """The front's best by the first objective, with its confirmed value if there is one.

        None if no program passed its evaluation. The search's own best is `search_front[0]`.
        """
        return self.front[0] if self.front else None

    @property
    def is_unconfirmed(self) -> bool:
        """Whether the search has found a program that may be better than all confirmed ones.

        False after a newer round, which did not measure it: each round has its price.
        """
        known = self.evidence
        leading = front_of(e for id_, e in self.elites.items() if id_ not in self.failed)
        if all(elite.program.id in known.confirmed for elite in leading):
            return False
        return not known.verdicts or len(self.outcomes) > known.verdicts[-1].round.seen

    @property
    def established(self) -> bool:
        """Whether the announced programs are better than the seed by more than chance."""
        return establishes(self.evidence, self.front, self.objective)

    def best_where(self, passes: Callable[[Mapping[str, float]], bool]) -> Elite | None:
        """Return the best by the first objective among all programs whose metrics pass."""
        fitting = [e for e in self.elites.values() if passes(e.evaluation.metrics)]
        return max(fitting, key=lambda e: (e.objectives, -e.program.id), default=None)

    def lineage(self, number: int) -> Sequence[Elite]:
        """Return a program and its first parents, the seed first.

        Raises:
            UsageError: the run has no such program with status "ok".
        """
        chain = []
        current: int | None = number
        while current is not None:
            if current not in self.elites:
                raise UsageError(f"{self.directory} has no judged program {current}")
            elite = self.elites[current]
            chain.append(elite)
            current = elite.program.parents[0] if elite.program.parents else None
        return chain[::-1]

    @property
    def limit(self) -> float:
        """Most seconds for the evaluation of a child; see `EvaluatorSection.limit`."""
        section = self.configuration.task.evaluator
        seeds = [elite for elite in self.elites.values() if elite.program.operator == "seed"]
        by_clock = self.configuration.rules >= 2 and not self.configuration.deterministic
        if not by_clock or not seeds:
            return section.timeout
        return max(section.limit(elite.evaluation.seconds) for elite in seeds)

    def summary(self) -> dict[str, Any]:
        """Return the results as `--json` prints them."""
        best, searched = self.best, next(iter(self.search_front), None)
        score, own = self.score, self.objective.value
        known = None if best is None else self.evidence.confirmed.get(best.program.id)
        seed = self.evidence.confirmed.get(SEED)
        return {
            "best_score": score,
            "best_value": None if score is None else own(score),
            "best_metrics": None if best is None else dict(best.evaluation.metrics),
            "best_program": None if best is None else best.program.id,
            "best_trusted": None if best is None else best.evaluation.trusted,
            "best_confirmed": best is not None and best.program.id in self.deviations,
            "best_deviation": None if best is None else self.deviations.get(best.program.id),
            "established": self.established,
            "interval": None
            if best is None
            else self.bounds(best.program.id).get(self.objective.value_name),
            "n": 0 if known is None else len(known.repeats),
            "seed_metrics": None if seed is None else dict(seed.metrics),
            "search_score": self.search_score,
            "search_metrics": None if searched is None else dict(searched.evaluation.metrics),
            "search_program": None if searched is None else searched.program.id,
            "evaluations": self.evaluations,
            "attempts": len(self.outcomes),
            "seconds": round(self.seconds, 3),
            "run_dir": str(self.directory),
            "stopped": self.stopped,
        }

    def bounds(self, program: int) -> dict[str, tuple[float, float]]:
        """Return the interval of each objective of a confirmed program, by metric.

        The intervals of all rounds hold together with 95 % confidence. A single measurement gives
        no interval, unless the evaluator repeats itself exactly.
        """
        known = self.evidence.confirmed.get(program)
        if known is None:
            return {}
        found = {}
        for (name, direction), each in zip(self.objective.directions, known.intervals, strict=True):
            own = -each if direction == "minimize" else each
            if self.evidence.is_exact:
                found[name] = (own.mean, own.mean)
            elif math.isfinite(own.low):
                found[name] = (own.low, own.high)
        return found

    def write_best(self) -> Path | None:
        """Write the best program's files into the run directory; return where."""
        if self.best is None:
            return None
        folder = self.directory / BEST
        for path, content in {**self.task.readonly, **self.best.program.files}.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return folder
