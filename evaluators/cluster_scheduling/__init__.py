"""Scores heuristics that place jobs on machines, AlphaEvolve's task of the data centre.

A job wants CPU and memory; a machine that has run out of one strands the other. The trace of jobs
is made here, by the rules below, for that of the publication is not public. The heuristic runs in
the sandbox, and the placement that comes out is checked here. That it saw nothing of what was
still to come is checked by giving it the same jobs once more, with others after a secret time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random

import numpy as np
from numpy.typing import NDArray

from evolver.errors import CandidateOutputError
from evolver.scoring import verify
from evolver.types import Candidate, Result

_CPU_HEAVY, _BALANCED, _MEMORY_HEAVY = (2.0, 1.0), (1.0, 4.0), (1.0, 8.0)  # CPU : memory
_SHAPES = np.array([[64, 256], [96, 192], [48, 384]])  # CPU and memory of kinds of machines
_HELD_OUT = 20250514  # seed of the traces that no program is selected by


@dataclass(frozen=True)
class Trace:
    """Jobs in the order of their arrival, one for each unit of time.

    Attributes:
        jobs: (n, 2) integers, CPU and memory that each wants.
        durations: (n,) how long each stays.
        capacities: (machines, 2) CPU and memory of each machine.
    """

    jobs: NDArray[np.int64]
    durations: NDArray[np.int64]
    capacities: NDArray[np.int64]


@dataclass(frozen=True)
class Evaluator:
    """Measures how much work a heuristic places on a crowded cluster, against best fit.

    The candidate's function gets a job, an array of CPU and memory, with the free and the total
    CPU and memory of each machine that has room for it, arrays of shape (k, 2), and returns k
    scores; the job goes to the first machine of the highest one, and is lost where none has room.
    Work is the sum over jobs of duration x (CPU / the cluster's + memory / the cluster's). The
    traces are the same for each evaluation, as a recorded one would be, and are never shown: new
    ones would change the score by more than a good heuristic does. What is overfitted to them
    shows on the held-out ones. Novikov 2025, https://arxiv.org/abs/2506.13131, section 3.3.1.

    Attributes:
        machines: of the cluster: three kinds in equal parts.
        jobs: of a trace.
        load: work that is asked for at a time over what the cluster can hold.
        traces: of an evaluation.
        held_out: how many other traces are placed for a private metric; 0 for none.
        trace: seed of the traces.
        function: name of the candidate's function.
    """

    machines: int = 12
    jobs: int = 900
    load: float = 1.4
    traces: int = 4
    held_out: int = 4
    trace: int = 1
    function: str = "score"

    guest = "guest.py"

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `gained`: work placed beyond what best fit places, in percent of all that came.

        `placed` is the share of the work that was placed, in percent, `best_fit` that of best fit
        on the same traces, and `stranded` the part of the cluster that is free but of no use to
        the jobs that find no room, in percent, when they come.

        Raises:
            CandidateError: the placement is none, or depends on what comes later.
        """
        traces, best_fit = self._traces
        found = [self._place(candidate, trace) for trace in traces]
        self._check_online(candidate, traces[0], found[0], candidate.rng)
        placed = [work_of(trace, machines) for trace, machines in zip(traces, found, strict=True)]
        stranded = [
            stranded_of(trace, machines) for trace, machines in zip(traces, found, strict=True)
        ]
        private = {}
        if self.held_out:
            others, best = self._others
            held_out = [work_of(trace, self._place(candidate, trace)) for trace in others]
            private["held_out_gained"] = float(np.mean(held_out) - np.mean(best))
        return Result(
            {
                "gained": float(np.mean(placed) - np.mean(best_fit)),
                "placed": float(np.mean(placed)),
                "best_fit": float(np.mean(best_fit)),
                "stranded": float(np.mean(stranded)),
            },
            private,
        )

    @cached_property
    def _traces(self) -> tuple[list[Trace], list[float]]:
        """The traces that the score is of, and what best fit places of each."""
        return self._with_best_fit(self.trace, self.traces)

    @cached_property
    def _others(self) -> tuple[list[Trace], list[float]]:
        return self._with_best_fit(_HELD_OUT, self.held_out)

    def _with_best_fit(self, seed: int, count: int) -> tuple[list[Trace], list[float]]:
        rng = np.random.default_rng(seed)
        traces = [self._draw(rng) for _ in range(count)]
        return traces, [work_of(trace, best_fit_of(trace)) for trace in traces]

    def _draw(self, rng: np.random.Generator) -> Trace:
        """Return a trace: jobs in powers of two, most of them small, of three kinds of appetite."""
        capacities = _SHAPES[np.arange(self.machines) % len(_SHAPES)]
        sizes = 2.0 ** rng.choice(5, self.jobs, p=[0.3, 0.3, 0.2, 0.12, 0.08])
        appetites = np.array([_CPU_HEAVY, _BALANCED, _MEMORY_HEAVY])
        kinds = appetites[rng.choice(len(appetites), self.jobs, p=[0.35, 0.4, 0.25])]
        jitter = rng.uniform(0.75, 1.25, (self.jobs, 2))
        jobs = np.maximum(1, np.rint(sizes[:, None] * kinds * jitter)).astype(np.int64)
        stay = self.load / np.mean((jobs / capacities.sum(axis=0)).max(axis=1))
        durations = np.ceil(rng.exponential(stay, self.jobs)).astype(np.int64)
        return Trace(jobs, durations, capacities)

    def _place(self, candidate: Candidate, trace: Trace) -> list[int]:
        """Have the jobs placed and check the placement; return each one's machine, -1 for none."""
        returned = candidate.call(
            "guest:place", self.function, trace.jobs, trace.durations, trace.capacities
        )
        machines: list[int] = verify.integers(returned, [self.jobs], "the machines").tolist()
        for time, free in enumerate(_free(trace, machines)):
            room = (free >= trace.jobs[time]).all(axis=1)
            machine = machines[time]
            if machine == -1:
                if room.any():
                    raise CandidateOutputError(f"job {time} was lost where a machine had room")
            elif not 0 <= machine < self.machines or not room[machine]:
                raise CandidateOutputError(f"machine {machine} has no room for job {time}")
        return machines

    def _check_online(
        self, candidate: Candidate, trace: Trace, machines: list[int], rng: Random
    ) -> None:
        """Raise CandidateOutputError where another future changes what was done before it."""
        cut = rng.randrange(self.jobs // 4, self.jobs)
        other = self._draw(np.random.default_rng(rng.getrandbits(63)))
        arrivals = np.arange(self.jobs)
        is_known = (arrivals < cut) & (arrivals + trace.durations <= cut)
        later = np.maximum(other.durations, cut + 1 - arrivals)  # who is there at the cut stays on
        again = replace(
            trace,
            jobs=np.where((arrivals < cut)[:, None], trace.jobs, other.jobs),
            durations=np.where(is_known, trace.durations, later),
        )
        if self._place(candidate, again)[:cut] != machines[:cut]:
            raise CandidateOutputError(
                "the same jobs were placed in another way when others followed them: a heuristic "
                "must not depend on what is still to come, nor on chance"
            )


def _free(trace: Trace, machines: Sequence[int]) -> Iterator[NDArray[np.int64]]:
    """Yield what each machine has free when each job comes: one array (machines, 2), updated.

    `machines` is read only after the yield, so that it may grow while this goes.
    """
    free = trace.capacities.copy()
    leaving: list[list[int]] = [[] for _ in range(len(trace.jobs) + 1)]
    for time, (job, stay) in enumerate(zip(trace.jobs, trace.durations, strict=True)):
        for gone in leaving[time]:
            free[machines[gone]] += trace.jobs[gone]
        yield free
        if machines[time] >= 0:
            free[machines[time]] -= job
            leaving[min(time + int(stay), len(trace.jobs))].append(time)


def work_of(trace: Trace, machines: list[int]) -> float:
    """Return the share of a trace's work that was placed, in percent."""
    sizes = (trace.jobs / trace.capacities.sum(axis=0)).sum(axis=1) * trace.durations
    return 100.0 * float(sizes[np.array(machines) >= 0].sum() / sizes.sum())


def stranded_of(trace: Trace, machines: list[int]) -> float:
    """Return the part of the cluster that is free whenever a job is lost, in percent; 0 if none."""
    whole = trace.capacities.sum(axis=0)
    shares = [
        float((free.sum(axis=0) / whole).mean())
        for free, machine in zip(_free(trace, machines), machines, strict=True)
        if machine < 0
    ]
    return 100.0 * float(np.mean(shares)) if shares else 0.0


def best_fit_of(trace: Trace) -> list[int]:
    """Place each job on the machine that is fullest afterwards, by the sum of both shares."""
    machines: list[int] = []
    for time, free in enumerate(_free(trace, machines)):
        places = np.flatnonzero((free >= trace.jobs[time]).all(axis=1))
        left = ((free[places] - trace.jobs[time]) / trace.capacities[places]).sum(axis=1)
        machines.append(int(places[left.argmin()]) if places.size else -1)
    return machines
