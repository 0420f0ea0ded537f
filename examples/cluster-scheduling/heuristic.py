"""A heuristic that places jobs on machines."""

import numpy as np


# EVOLVE-BLOCK-START
def score(job, free, total):
    """Return a score for each machine; rows of free and total are CPU and memory: best fit."""
    left = (free - job) / total
    cpu = left[:, 0]
    memory = left[:, 1]
    return -np.add(cpu, memory)


# EVOLVE-BLOCK-END
