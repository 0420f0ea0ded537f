"""Selection policies choose the program to edit next: frozen dataclasses with one method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from evolver.ports import Archive
from evolver.types import Elite


@dataclass(frozen=True)
class Tournament:
    """The best of `size` elites drawn at random, with replacement.

    Attributes:
        size: 1 is uniform choice; a larger one favours the best more.
    """

    size: int = 2

    def select(self, archive: Archive, children: Mapping[int, int], rng: Random) -> Elite:
        """Choose by rank in the archive."""
        elites = archive.elites()
        return elites[min(rng.randrange(len(elites)) for _ in range(self.size))]


@dataclass(frozen=True)
class PowerLaw:
    """Rank r (from 1) with probability proportional to r**-exponent.

    The parent distribution of ShinkaEvolve (Lange 2025, https://arxiv.org/abs/2509.19349).

    Attributes:
        exponent: 0 is uniform choice; a larger one favours the best more.
    """

    exponent: float = 1.0

    def select(self, archive: Archive, children: Mapping[int, int], rng: Random) -> Elite:
        """Choose by rank in the archive."""
        elites = archive.elites()
        weights = [(rank + 1.0) ** -self.exponent for rank in range(len(elites))]
        return rng.choices(elites, weights)[0]


@dataclass(frozen=True)
class FrontFirst:
    """Mostly a member of the front, preferably one that was seldom edited.

    Made for Pareto archives: every trade-off on the front gets its turn, even if many programs
    crowd one end, and a new member is explored at once.

    Attributes:
        greed: probability of choosing from the front, else from all elites.
        novelty: a program with k children is chosen in proportion to (1 + k)**-novelty; 0 is
            uniform. Dividing by the number of children is ShinkaEvolve's novelty
            (Lange 2025, https://arxiv.org/abs/2509.19349).
    """

    greed: float = 0.7
    novelty: float = 1.0

    def select(self, archive: Archive, children: Mapping[int, int], rng: Random) -> Elite:
        """Choose from the front or from all elites."""
        pool = archive.front() if rng.random() < self.greed else archive.elites()
        weights = [(1.0 + children.get(e.program.id, 0)) ** -self.novelty for e in pool]
        return rng.choices(pool, weights)[0]
