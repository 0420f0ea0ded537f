"""The population: an in-memory view of the finished attempts, islands and all.

It depends only on the outcomes in commit order, so the stored facts rebuild it exactly.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from evolver.ports import Archive, Policy
from evolver.search.evidence import Evidence, Verdict
from evolver.search.history import History
from evolver.storage.facts import Attempt, Outcome
from evolver.tasks.objective import Objective, dominates, front
from evolver.types import Elite, Evaluation, Trial

_REASON_LENGTH = 200  # characters
_DRAWN = 4  # elites among which the most different one is chosen


@dataclass(frozen=True)
class Island:
    """A sub-population with its own archive and its own selection policy."""

    archive: Archive
    policy: Policy


@dataclass(frozen=True)
class Selection:
    """The parent and the inspirations of an attempt: elites of one island."""

    island: int
    parent: Elite
    inspirations: tuple[Elite, ...]  # best last


def trial_of(outcome: Outcome) -> Trial | None:
    """Return what later prompts may say about an attempt; None if it teaches nothing.

    A dishonest program, a failure of the evaluator and a change without a summary teach nothing.
    Only models' edits are reported, since genetic ones would crowd them out.
    """
    evaluation, program = outcome.evaluation, outcome.program
    if not outcome.attempt.model:
        return None
    if evaluation is None or program is None:
        reason = _last_line(outcome.reason)
        return Trial(outcome.summary, "filtered", None, reason) if outcome.summary else None
    if not program.summary or evaluation.flags or evaluation.fault == "evaluator":
        return None
    is_ok = evaluation.status == "ok"
    reason = "" if is_ok else _last_line(evaluation.feedback)
    return Trial(program.summary, evaluation.status, evaluation.objectives, reason)


def _is_verdict(evaluation: Evaluation) -> bool:
    """Tell whether another program that computes the same would get the same result."""
    return evaluation.fault != "evaluator" and evaluation.status != "timeout"


def front_of(elites: Iterable[Elite]) -> list[Elite]:
    """Return the elites that no other dominates, ordered by the first objective, best first."""
    pool = list(elites)
    kept = front([elite.objectives for elite in pool])
    return sorted((pool[i] for i in kept), key=lambda e: e.objectives, reverse=True)


def _last_line(text: str) -> str:
    """Return the last line, which in a traceback is the error."""
    lines = text.strip().splitlines()
    return lines[-1].strip()[:_REASON_LENGTH] if lines else ""


def _least_like(known: Sequence[Elite], drawn: Sequence[Elite]) -> Elite:
    """Return the drawn elite that shares the fewest lines with the nearest known one (Jaccard)."""

    def lines(elite: Elite) -> set[bytes]:
        files = elite.program.files.values()
        return {line.strip() for source in files for line in source.splitlines()}

    seen = [lines(elite) for elite in known]

    def likeness(elite: Elite) -> float:
        own = lines(elite)
        return max(len(own & other) / max(1, len(own | other)) for other in seen)

    return min(drawn, key=lambda elite: (likeness(elite), elite.program.id))


class Population:
    """Islands of elites, the global front and the history of judged programs.

    Attributes:
        elites: every program with status "ok", by id, with its confirmed value if there is one.
        leading: the front of the search: the elites that no other dominates.
        evidence: of repeated measurements.
    """

    def __init__(
        self,
        objective: Objective,
        island: Callable[[], Island],
        *,
        islands: int = 1,
        inspirations: int = 2,
        migration_interval: int = 0,
        migrants: int = 1,
        trials: int = 8,
    ) -> None:
        """Start empty.

        Args:
            objective: how elites compare.
            island: makes one island.
            islands: how many of them.
            inspirations: how many other elites a selection holds, at most.
            migration_interval: finished attempts between two migrations; 0 for none.
            migrants: elites that each island sends to the next one at a migration.
            trials: earlier children of a parent that `tried` returns, at most.
        """
        self.objective = objective
        self._island = island
        self.islands = [island() for _ in range(islands)]
        self._inspirations = inspirations
        self._interval = migration_interval
        self._migrants = migrants
        self._trials = trials
        self._tried: dict[int, list[tuple[int, Trial]]] = {}  # by parent, with `finished`
        self.finished = 0
        self.leading: list[Elite] = []
        self.search_score: float | None = None
        self.elites: dict[int, Elite] = {}
        self.evidence = Evidence()
        self._announced: list[Elite] | None = None  # None: nothing is confirmed yet
        self._disqualified: set[int] = set()
        self.children = Counter[int]()  # program id -> finished attempts that edited it
        self.history = History()

    def select(self, attempt: int, rng: Random, *, diverse: bool = False) -> Selection:
        """Choose island, parent and inspirations for an attempt.

        The first inspiration is one of the island's best. The others are random or, if `diverse`,
        the most different one of a few: a model learns more from another idea than from the same
        one with other constants. A program whose confirmation failed may be a parent, since its
        child has to beat it, but no inspiration, since its score was luck.
        """
        occupied = [i for i, island in enumerate(self.islands) if island.archive.elites()]
        index = occupied[attempt % len(occupied)]
        island = self.islands[index]
        parent = island.policy.select(island.archive, self.children, rng)
        unfit = {parent.program.id, *self._disqualified}
        others = [e for e in island.archive.elites() if e.program.id not in unfit]
        best = [e for e in island.archive.front() if e.program.id not in unfit]
        chosen: dict[int, Elite] = {}
        for pool in (best, others):
            if pool and len(chosen) < self._inspirations and not (chosen and diverse):
                elite = rng.choice(pool)
                chosen[elite.program.id] = elite
        while len(chosen) < min(self._inspirations, len(others)):
            if diverse:
                left = [e for e in others if e.program.id not in chosen]
                drawn = rng.sample(left, min(_DRAWN, len(left)))
                elite = _least_like([parent, *chosen.values()], drawn)
            else:
                elite = rng.choice(others)
            chosen.setdefault(elite.program.id, elite)
        inspirations = sorted(chosen.values(), key=lambda e: (e.objectives, -e.program.id))
        return Selection(index, parent, tuple(inspirations))

    def record(self, outcome: Outcome) -> bool:
        """Take in one finished attempt, in commit order; return whether it raised the score."""
        attempt, program, evaluation = outcome.attempt, outcome.program, outcome.evaluation
        self.finished += 1
        if attempt.parent is not None:
            self.children[attempt.parent] += 1
            trial = trial_of(outcome)
            if trial is not None:
                self._tried.setdefault(attempt.parent, []).append((self.finished, trial))
        if program is not None:
            self.history.add(outcome.proposed or program.files, self.finished)
        if outcome.proposed is not None:
            self.history.add_structure(outcome.proposed, self.finished)
        if evaluation is not None and evaluation.fingerprint and _is_verdict(evaluation):
            self.history.add_outputs(evaluation.fingerprint, attempt.id, self.finished)
        elite = outcome.elite
        improved = elite is not None and self._admit(elite, self._islands_of(attempt))
        if self._interval and self.finished % self._interval == 0:
            self._migrate()
        return improved

    def _islands_of(self, attempt: Attempt) -> Sequence[int]:
        """Return the islands of an attempt: all for the task's seed, else its own."""
        islands = len(self.islands)  # a fork may have fewer islands
        return range(islands) if attempt.id == 0 else (attempt.island % islands,)

    def tried(self, parent: int, upto: int) -> tuple[Trial, ...]:
        """Return the latest children of a parent among the first `upto` attempts, oldest first."""
        trials = self._tried.get(parent, ())
        known = bisect_right(trials, upto, key=lambda entry: entry[0])
        return tuple(trial for _, trial in trials[max(0, known - self._trials) : known])

    def _admit(self, elite: Elite, islands: Sequence[int]) -> bool:
        self.elites[elite.program.id] = elite
        self.history.add(elite.program.files, self.finished)
        for index in islands:
            self.islands[index].archive.add(elite)
        new = elite.objectives
        if any(kept.objectives == new or dominates(kept.objectives, new) for kept in self.leading):
            return False
        self.leading = [kept for kept in self.leading if not dominates(new, kept.objectives)]
        self.leading.append(elite)
        self.leading.sort(key=lambda e: e.objectives, reverse=True)
        before, self.search_score = self.search_score, self._score(self.leading)
        return before is None or (self.search_score is not None and self.search_score > before)

    def _score(self, front: Sequence[Elite]) -> float | None:
        return self.objective.score(elite.objectives for elite in front)

    @property
    def front(self) -> Sequence[Elite]:
        """The announced programs: the front of the confirmed ones, once there are any."""
        return self.leading if self._announced is None else self._announced

    @property
    def score(self) -> float | None:
        """The score of the announced programs."""
        return self._score(self.front)

    def disqualify(self, programs: Iterable[int]) -> None:
        """Remove programs from the front whose confirmation failed; they remain parents."""
        self._disqualified.update(programs)
        self.leading = front_of(self.qualified.values())
        self.search_score = self._score(self.leading)

    @property
    def qualified(self) -> dict[int, Elite]:
        """The elites whose confirmation did not fail, by id."""
        return {id_: e for id_, e in self.elites.items() if id_ not in self._disqualified}

    def settle(self, verdict: Verdict) -> None:
        """Take in a closed round: from now on its means are the programs' values."""
        self.evidence.add(verdict)
        new = {
            id_: self.evidence.confirmed[id_].revalued(self.elites[id_])
            for id_ in verdict.confirmed
            if id_ in self.elites
        }
        self.elites |= new
        for index, island in enumerate(self.islands):
            kept = island.archive.elites()
            if any(elite.program.id in new for elite in kept):
                again = self._island().archive
                for elite in kept:
                    again.add(new.get(elite.program.id, elite))
                self.islands[index] = Island(again, island.policy)
        self.disqualify(verdict.failed)
        confirmed = self.evidence.confirmed
        if confirmed:
            self._announced = front_of(e for id_, e in self.qualified.items() if id_ in confirmed)

    def _migrate(self) -> None:
        """Copy members of each island's front to the next island round the ring.

        The choice of members rotates, so that in time all trade-offs travel.
        """
        turn = self.finished // self._interval
        leaving = []
        for island in self.islands:
            best = island.archive.front()
            picks = {(turn + k) % len(best) for k in range(self._migrants)} if best else set()
            leaving.append([best[pick] for pick in sorted(picks)])
        for index, elites in enumerate(leaving):
            target = self.islands[(index + 1) % len(self.islands)]
            for elite in elites:
                target.archive.add(elite)

    def best(self) -> Elite | None:
        """Return the best announced program, by the first objective."""
        return max(self.front, key=lambda e: (e.objectives, -e.program.id), default=None)
