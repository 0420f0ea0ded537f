"""Scores heuristics that place jobs on machines, AlphaEvolve's data centre task.

A job needs CPU and memory; a machine that has run out of one strands the other. The trace of jobs
follows the rules below, because that of the publication is not public. The heuristic runs in the
sandbox; the evaluator checks the placement. It also checks that the heuristic did not use later
jobs: it gives the same jobs again with others after a secret time.
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
_SHAPES = np.array([[64, 256], [96, 192], [48, 384]])  # CPU and memory of each kind of machine
_HELD_OUT = 20250514  # seed of traces that do not influence selection


@dataclass(frozen=True)
class Trace:
    """Jobs in the order of their arrival, one for each unit of time.

    Attributes:
        jobs: (n, 2) integers, CPU and memory of each.
        durations: (n,) of each job.
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
    scores; the job goes to the first machine of the highest score, and is lost if none has room.
    Work is the sum over jobs of duration x (CPU / the cluster's + memory / the cluster's). The
    traces are the same for each evaluation, and candidates do not see them: new ones would change
    the score by more than a good heuristic does. The held-out traces show overfitting. Novikov
    2025, https://arxiv.org/abs/2506.13131, section 3.3.1.

    Attributes:
        machines: of the cluster, of three kinds in equal parts.
        jobs: of a trace.
        load: demand over the capacity of the cluster.
        traces: of an evaluation.
        held_out: number of other traces, for a private metric; 0 for none.
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
        """Return `gained`: work placed, less that of best fit, in percent of all work.

        `placed` is the share of the work that was placed, in percent, `best_fit` that of best fit
        on the same traces, and `stranded` the share of the cluster that is free when a job finds no
        room, in percent.

        Raises:
            CandidateError: the placement is invalid, or depends on later jobs.
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
        """The scored traces, and the share of the work of each that best fit places."""
        return self._with_best_fit(self.trace, self.traces)

    @cached_property
    def _others(self) -> tuple[list[Trace], list[float]]:
        return self._with_best_fit(_HELD_OUT, self.held_out)

    def _with_best_fit(self, seed: int, count: int) -> tuple[list[Trace], list[float]]:
        rng = np.random.default_rng(seed)
        traces = [self._draw(rng) for _ in range(count)]
        return traces, [work_of(trace, best_fit_of(trace)) for trace in traces]

    def _draw(self, rng: np.random.Generator) -> Trace:
        """Return a trace: sizes are powers of two, most of them small, with three CPU ratios."""
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
        """Let the candidate place the jobs and check it; return each one's machine, or -1."""
        returned = candidate.call(
            "guest:place", self.function, trace.jobs, trace.durations, trace.capacities
        )
        machines: list[int] = verify.integers(returned, [self.jobs], "the machines").tolist()
        for time, free in enumerate(_free(trace, machines)):
            room = (free >= trace.jobs[time]).all(axis=1)
            machine = machines[time]
            if machine == -1:
                if room.any():
                    raise CandidateOutputError(f"job {time} was lost although a machine had room")
            elif not 0 <= machine < self.machines or not room[machine]:
                raise CandidateOutputError(f"machine {machine} has no room for job {time}")
        return machines

    def _check_online(
        self, candidate: Candidate, trace: Trace, machines: list[int], rng: Random
    ) -> None:
        """Raise CandidateOutputError if other later jobs change the placement before them."""
        cut = rng.randrange(self.jobs // 4, self.jobs)
        other = self._draw(np.random.default_rng(rng.getrandbits(63)))
        arrivals = np.arange(self.jobs)
        is_known = (arrivals < cut) & (arrivals + trace.durations <= cut)
        later = np.maximum(other.durations, cut + 1 - arrivals)  # jobs that run at the cut go on
        again = replace(
            trace,
            jobs=np.where((arrivals < cut)[:, None], trace.jobs, other.jobs),
            durations=np.where(is_known, trace.durations, later),
        )
        if self._place(candidate, again)[:cut] != machines[:cut]:
            raise CandidateOutputError(
                "the same jobs were placed differently when other jobs followed: a heuristic must "
                "not depend on later jobs, nor on chance"
            )


def _free(trace: Trace, machines: Sequence[int]) -> Iterator[NDArray[np.int64]]:
    """Yield the free room of each machine when each job arrives: one array (machines, 2), updated.

    `machines` is read only after the yield, so that the caller may append to it.
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
