"""Archives: which programs an island keeps, as a pure function of the order of arrival."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from evolver.tasks.objective import dominates
from evolver.types import Elite


@dataclass
class BestN:
    """Keeps the `size` best by the first objective; among equals the first to arrive.

    Attributes:
        size: elites that an island keeps.
    """

    size: int = 50
    _kept: list[Elite] = field(default_factory=list, init=False, repr=False)

    def add(self, elite: Elite) -> bool:
        """Offer an elite; return whether it was kept."""
        if any(kept.program.id == elite.program.id for kept in self._kept):
            return False  # an immigrant that arrived before
        key = elite.objectives
        position = len(self._kept)
        while position > 0 and self._kept[position - 1].objectives < key:
            position -= 1
        if position >= self.size:
            return False
        self._kept.insert(position, elite)
        del self._kept[self.size :]
        return True

    def elites(self) -> Sequence[Elite]:
        """The kept elites, best first."""
        return self._kept

    def front(self) -> Sequence[Elite]:
        """The best one."""
        return self._kept[:1]


@dataclass
class Pareto:
    """Keeps `size` elites by non-domination rank, then by crowding distance.

    The elitist survivor selection of NSGA-II (Deb 2002, https://doi.org/10.1109/4235.996017), one
    arrival at a time. An arrival with the objectives of a kept elite is dropped, so that copies
    cannot crowd the front. `elites` lists the first front first.

    Attributes:
        size: elites that an island keeps.
    """

    size: int = 100
    _fronts: list[list[Elite]] = field(default_factory=list, init=False, repr=False)
    _flat: list[Elite] = field(default_factory=list, init=False, repr=False)
    _vectors: set[tuple[float, ...]] = field(default_factory=set, init=False, repr=False)

    def add(self, elite: Elite) -> bool:
        """Offer an elite; return whether it was kept."""
        key = elite.objectives
        if key in self._vectors:
            return False
        rank = 0
        while rank < len(self._fronts) and any(
            dominates(kept.objectives, key) for kept in self._fronts[rank]
        ):
            rank += 1
        if rank >= len(self._fronts) and len(self._flat) >= self.size:
            return False
        self._insert(rank, elite)
        self._vectors.add(key)
        self._flat = [kept for front in self._fronts for kept in front]
        if len(self._flat) > self.size:
            dropped = self._most_crowded(self._fronts[-1])
            self._fronts[-1] = [kept for kept in self._fronts[-1] if kept is not dropped]
            if not self._fronts[-1]:
                self._fronts.pop()
            self._flat = [kept for kept in self._flat if kept is not dropped]
            self._vectors.discard(dropped.objectives)
        return key in self._vectors

    def _insert(self, rank: int, elite: Elite) -> None:
        """Put an elite into its front; the elites that it dominates move down, front by front."""
        moving = [elite]
        while moving:
            if rank == len(self._fronts):
                self._fronts.append(moving)
                return
            staying: list[Elite] = []
            pushed: list[Elite] = []
            for kept in self._fronts[rank]:
                beaten = any(dominates(new.objectives, kept.objectives) for new in moving)
                (pushed if beaten else staying).append(kept)
            self._fronts[rank] = sorted(staying + moving, key=lambda e: e.objectives, reverse=True)
            moving, rank = pushed, rank + 1

    @staticmethod
    def _most_crowded(front: Sequence[Elite]) -> Elite:
        distance = {id(elite): 0.0 for elite in front}
        for axis in range(len(front[0].objectives)):
            line = sorted(front, key=lambda e, axis=axis: e.objectives[axis])  # type: ignore[misc]
            span = line[-1].objectives[axis] - line[0].objectives[axis] or 1.0
            distance[id(line[0])] = distance[id(line[-1])] = math.inf
            for before, here, after in zip(line, line[1:], line[2:], strict=False):
                distance[id(here)] += (after.objectives[axis] - before.objectives[axis]) / span
        return min(front, key=lambda e: (distance[id(e)], -e.program.id))

    def elites(self) -> Sequence[Elite]:
        """The kept elites, the first front first."""
        return self._flat

    def front(self) -> Sequence[Elite]:
        """The non-dominated elites, best first objective first."""
        return self._fronts[0] if self._fronts else ()


@dataclass
class First:
    """Keeps only the first elite, the seed: nothing evolves (an ablation)."""

    _kept: list[Elite] = field(default_factory=list, init=False, repr=False)

    def add(self, elite: Elite) -> bool:
        """Offer an elite; return whether it was kept."""
        if not self._kept:
            self._kept.append(elite)
        return self._kept[0] is elite

    def elites(self) -> Sequence[Elite]:
        """The first one."""
        return self._kept

    def front(self) -> Sequence[Elite]:
        """The first one."""
        return self._kept
