"""Places jobs with the candidate's heuristic, in its process."""

from __future__ import annotations

from typing import Any

import candidate  # the program that is being judged
import numpy as np

Array = np.ndarray[Any, Any]


def place(function: str, jobs: Array, durations: Array, capacities: Array) -> Array:
    """Return the machine of each job, -1 if no machine has room for it.

    Job t arrives at time t and leaves at t + its duration; `jobs` and `capacities` have rows of CPU
    and memory.
    """
    score = getattr(candidate.load(), function)
    free = capacities.copy()
    leaving: list[list[int]] = [[] for _ in range(len(jobs) + 1)]
    chosen = np.full(len(jobs), -1, dtype=np.int64)
    for time, job in enumerate(jobs):
        for gone in leaving[time]:
            free[chosen[gone]] += jobs[gone]
        places = np.flatnonzero((free >= job).all(axis=1))
        if places.size:
            machine = places[np.argmax(score(job, free[places], capacities[places]))]
            chosen[time] = machine
            free[machine] -= job
            leaving[min(time + durations[time], len(jobs))].append(time)
    return chosen
