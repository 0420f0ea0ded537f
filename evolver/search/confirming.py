"""Confirmation: programs are measured again before they are announced, in planned rounds.

The winner, the runner-up and the seed, or a whole front and the seed, are measured on the same
fresh secret inputs. The plan and each measurement are stored at once, so a kill loses only what was
in flight. When all measurements of a round exist it is closed, and from then on their means are
the programs' values.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from evolver.evaluation.executors import together
from evolver.search.evidence import SEED, Verdict, fewest, is_coarse, is_same, mean
from evolver.search.parts import RunParts
from evolver.search.views import Views
from evolver.storage.facts import Confirmation, Round
from evolver.types import Job

_USUAL = 20  # repeats, if the evaluator is noisy and quick
_MOST = 30
_SHARE = 0.1  # of the run's seconds so far, for repeats beyond the fewest that can be significant
_COST = 0.25  # measurements of rounds for a target, as a share of the evaluations


class Confirming:
    """Measures programs again, for one run.

    Attributes:
        status: how far the current round is, in words; "" between rounds.
    """

    def __init__(self, parts: RunParts, views: Views) -> None:
        """Go on with the rounds that the store holds."""
        self._settings = parts.settings
        self._store = parts.store
        self._executor = parts.executor
        self._views = views
        self._population = views.population
        rounds = self._store.rounds()
        self._open = next((one for one in rounds if not one.is_closed), None)
        self._number = max((one.number for one in rounds), default=0)  # there may be gaps
        self._made = sum(row.round > 0 for row in self._store.confirmations())
        self.status = ""

    @property
    def is_open(self) -> bool:
        """Whether a round has begun and is not closed."""
        return self._open is not None

    def contenders(self) -> tuple[int, ...]:
        """Return the programs that a round would measure; () if the best is confirmed already.

        With one objective: the best, the runner-up if it is above the seed too, and the seed. With
        several: all unconfirmed programs of the front, and the seed.
        """
        population, known = self._population, self._population.evidence.confirmed
        elites = population.qualified
        seed = elites.get(SEED)
        if len(population.objective.names) > 1:
            chosen = [e.program.id for e in population.leading if e.program.id not in known]
        else:
            ranked = sorted(elites.values(), key=lambda e: (-e.objectives[0], e.program.id))
            chosen = [e.program.id for e in ranked[:1] if e.program.id not in known]
            chosen += [
                e.program.id
                for e in ranked[1:]
                if e.program.id not in known
                and e.objectives != ranked[0].objectives
                and (seed is None or e.objectives > seed.objectives)
            ][: len(chosen)]
        if not chosen or (seed is None and not elites):
            return ()
        return tuple(dict.fromkeys([*chosen, *([SEED] if seed is not None else [])]))

    @property
    def is_due(self) -> bool:
        """Whether a round could change the announced programs.

        A round is costly, so there is none before a new attempt finishes, unless a program failed
        and another took its place, or the evaluator failed.
        """
        programs = self.contenders()
        if not programs or not self._population.evidence.verdicts:
            return bool(programs)
        last = self._population.evidence.verdicts[-1]
        return (
            self._population.finished > last.round.seen
            or bool(last.failed - {SEED})
            or any(program in last.round.programs for program in programs if program != SEED)
        )

    def is_affordable(self, evaluations: int) -> bool:
        """Whether the search may be interrupted by a round after so many evaluations."""
        return self._made <= _COST * evaluations

    async def confirm(self, asked: int | None, report: Callable[[], None]) -> None:
        """Finish the open round; then measure what is due, or one program.

        A program that fails leaves the front, and its successor is measured too.

        Args:
            asked: the program; None: what is due.
            report: is called after each measurement.
        """
        if self._open is not None:
            await self._measure(self._open, report)
        if asked is not None:
            if asked not in self._population.evidence.confirmed:
                await self._begin(tuple(dict.fromkeys([asked, SEED])), asked, report)
            return
        is_due = self.is_due
        while is_due:
            verdict = await self._begin(self.contenders(), None, report)
            is_due = bool(verdict.failed - {SEED}) and bool(self.contenders())

    async def _begin(
        self, programs: tuple[int, ...], asked: int | None, report: Callable[[], None]
    ) -> Verdict:
        settings, number = self._settings, self._number + 1
        least = min(fewest(number), _MOST)
        planned = Round(
            number,
            programs,
            first=self._first(programs, number),
            least=least,
            most=max(least, _USUAL),
            # In a run that must repeat itself, the number may not depend on time.
            allowance=None
            if settings.deterministic
            else _SHARE * self._views.seconds * self._executor.slots,
            is_strict=settings.is_strict,
            asked=asked,
        )
        if (repeats := settings.repeats) is not None:
            planned = replace(planned, first=repeats, least=repeats, most=repeats, allowance=None)
        self._store.plan(planned)
        self._number, self._open = number, planned
        return await self._measure(planned, report)

    def _first(self, programs: Sequence[int], number: int) -> int:
        """Return after how many equal repeats an evaluator counts as exact.

        Numbers with many digits do not repeat by chance. Counts and rates do: they need as many
        repeats as a sign test.
        """
        evidence = self._population.evidence
        if evidence.verdicts and not evidence.is_exact:
            return min(fewest(number), _MOST)
        values = [self._population.elites[program].objectives for program in programs]
        are_coarse = all(is_coarse(value) for point in values for value in point)
        return math.ceil(fewest(number) / len(programs)) if are_coarse else 1

    async def _measure(self, round_: Round, report: Callable[[], None]) -> Verdict:
        rows = [row for row in self._store.confirmations() if row.round == round_.number]
        while left := self._lacking(round_, rows):
            waiting = deque(left)
            slots = range(self._executor.slots)
            await together([self._work(round_, rows, waiting, report) for _ in slots])
        self.status = ""
        closed = replace(
            round_,
            seen=self._population.finished,
            begun=self._views.next,
            is_exact=self._is_exact(round_, rows),
        )
        self._store.close_round(closed)
        return self._settle(closed, rows)

    def close(self, round_: Round, rows: Sequence[Confirmation]) -> None:
        """Store a round that another run recorded, with its measurements, and settle it."""
        self._store.plan(round_)
        for row in rows:
            self._store.confirm(row)
        self._store.close_round(round_)
        self._number = round_.number
        self._made += len(rows)
        self._settle(round_, rows)

    def _settle(self, round_: Round, rows: Sequence[Confirmation]) -> Verdict:
        self._open = None
        verdict = Verdict.of(round_, rows)
        self._population.settle(verdict)
        return verdict

    async def _work(
        self,
        round_: Round,
        rows: list[Confirmation],
        waiting: deque[tuple[int, int]],
        report: Callable[[], None],
    ) -> None:
        """Measure the waiting programs, one after the other."""
        while waiting:
            program, repeat = waiting.popleft()
            if program in _failed(rows):
                continue
            job = Job(
                self._population.elites[program].program,
                self._settings.job_seed(repeat, f"confirm/{round_.number}"),
                is_confirmation=True,
            )
            evaluation = await self._executor.evaluate(job)
            row = Confirmation(
                program,
                evaluation,
                self._population.finished,
                self._views.next,
                round_.number,
                repeat,
            )
            self._store.confirm(row)
            rows.append(row)
            self._made += 1
            most = self._wanted(round_, rows) * len(round_.programs)
            self.status = f"{len(rows)} of at most {most} measurements"
            report()

    def _lacking(self, round_: Round, rows: Sequence[Confirmation]) -> list[tuple[int, int]]:
        """Return the missing measurements, as programs and repeats."""
        made = {(row.program, row.repeat) for row in rows}
        programs = [program for program in round_.programs if program not in _failed(rows)]

        def lacking(repeats: int) -> list[tuple[int, int]]:
            wanted = [(program, k) for k in range(repeats) for program in programs]
            return [pair for pair in wanted if pair not in made]

        # `confirm` may differ from the search; a second repeat shows whether it is exact.
        again = [min(2, round_.most)] if round_.is_strict else []
        for repeats in (round_.first, *again):
            if (left := lacking(repeats)) or self._is_exact(round_, rows):
                return left
        return lacking(self._wanted(round_, rows))

    @staticmethod
    def _wanted(round_: Round, rows: Sequence[Confirmation]) -> int:
        """Return the repeats of a noisy round, by the time of its first ones."""
        times: dict[int, list[float]] = {}
        for row in rows:
            if row.repeat < round_.first:
                times.setdefault(row.program, []).append(row.evaluation.seconds)
        cost = sum(map(mean, times.values()))
        if round_.allowance is None or not cost:
            return round_.most
        return max(round_.least, min(round_.most, int(round_.allowance / cost)))

    def _is_exact(self, round_: Round, rows: Sequence[Confirmation]) -> bool:
        """Whether every measurement equals an earlier one.

        `confirm` may differ from the search, so its numbers are compared with each other: within
        the round, or with an earlier round that measured the seed too.
        """
        evidence, found = self._population.evidence, dict[int, list[tuple[float, ...]]]()
        if evidence.verdicts and not evidence.is_exact:
            return False
        for row in rows:
            if row.evaluation.objectives is None and row.evaluation.fault == "evaluator":
                return False
            if row.evaluation.objectives is not None:
                found.setdefault(row.program, []).append(row.evaluation.objectives)
        for program, points in found.items():
            known = self._population.elites[program].objectives
            is_new = program not in evidence.confirmed
            if round_.is_strict and is_new and (len(points) > 1 or evidence.is_exact):
                known = points[0]
            if not all(
                is_same(x, y) for point in points for x, y in zip(point, known, strict=True)
            ):
                return False
        return bool(found)


def _failed(rows: Sequence[Confirmation]) -> set[int]:
    return {
        row.program
        for row in rows
        if row.evaluation.objectives is None and row.evaluation.fault != "evaluator"
    }


async def confirm_once(
    parts: RunParts, views: Views, confirm: Callable[[Confirmation], None]
) -> None:
    """Measure each program of the front once more, by the rules of older runs.

    A program that fails leaves the front, and its successor is measured too; values do not change.
    A failure of the evaluator is not stored, so the next session measures again.

    Args:
        parts: of the run.
        views: of the run.
        confirm: stores a measurement.
    """
    population, job_seed = views.population, parts.settings.job_seed
    done = {confirmation.program for confirmation in parts.store.confirmations()}
    while True:
        front = [elite.program for elite in population.front]
        waiting = [program for program in front if program.id not in done]
        if not waiting:
            return
        jobs = [
            Job(program, job_seed(program.id, "confirm"), is_confirmation=True)
            for program in waiting
        ]
        again = await together([parts.executor.evaluate(job) for job in jobs])
        for program, evaluation in zip(waiting, again, strict=True):
            done.add(program.id)
            if evaluation.fault != "evaluator":
                confirm(Confirmation(program.id, evaluation, population.finished, views.next))
