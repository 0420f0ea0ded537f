"""Seed programs for the tests of the genetic operators, and what the tests do with them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from evolver.operators.genetic import Crossover, Mutate
from evolver.types import Brief, Context, Elite, Evaluation, Files, Program, Proposal

STRAIGHT = b'''"""Approximate 2**x."""


def exp2(x):
    # EVOLVE-BLOCK-START
    t1 = x * 0.5
    # the continued fraction
    t2 = t1 + 3.25 / t1
    t3 = (t2 - 1.5) * (t2 + 1.5)  # a product
    return t3 + x * (0.24 + x * 0.055)
    # EVOLVE-BLOCK-END
'''

SORT = b'''# A sort, and what it is measured by.


def bubble(items):
    """Sort a list of numbers."""
    items = list(items)
    count = 0
    for i in range(len(items)):
        # the largest are already last
        for j in range(0, len(items) - i - 1):
            if items[j] > items[j + 1] and i >= 0:
                items[j], items[j + 1] = items[j + 1], items[j]
                count += 1
    while count > 10:
        count -= 1
    return items, min(count, len(items))
'''

ARRAYS = b"""import numpy as np

SCALE = 0.5


# EVOLVE-BLOCK-START model
def model(points, weights):
    centred = points - points.mean(axis=0)
    distances = np.sqrt(np.sum(centred**2, axis=1))
    near = distances < SCALE
    return np.where(near, distances @ weights[0], 1.0 / (1.0 + np.exp(-distances)))
# EVOLVE-BLOCK-END


def check(points):
    return model(points, [1.0]).shape == (3,)
"""

NESTED = b"""import math


def outer(a, b=2.0):
    scale = math.sqrt(a * a + b * b)

    def inner(c):
        # inside
        shift = c / scale if scale > 0.0 else 0.0
        return [shift * k for k in range(3) if k != 1]

    total = 0.0
    for value in inner(a):
        total += value * b
    return max(total, -total) + math.sin(a)
"""

METHODS = b'''class Queue:
    """A queue."""

    # EVOLVE-BLOCK-START priorities
    bias = 1.5

    def priority(self, age, weight=1.0):
        # older first
        value = age * weight + self.bias
        if value > 10 or age < 0:
            value = 10.0 - age % 3
        elif age == 5:
            value -= 1
        else:
            value = value / 2
        return value
    # EVOLVE-BLOCK-END

    def size(self):
        return 3
'''

SEVERAL = b"""def first(n):
    # EVOLVE-BLOCK-START one
    return n + 1
    # EVOLVE-BLOCK-END


def second(n):
    total = 0
    for i in range(n):
        # EVOLVE-BLOCK-START two
        step = i * 2
        total = total + step - 1
        # EVOLVE-BLOCK-END
    return total
"""

PROGRAMS: dict[str, Files] = {
    "straight": {"exp2.py": STRAIGHT},
    "sort": {"sort.py": SORT},
    "arrays": {"model.py": ARRAYS},
    "nested": {"nested.py": NESTED},
    "methods": {"queue.py": METHODS},
    "several": {"several.py": SEVERAL},
    "two files": {"exp2.py": STRAIGHT, "several.py": SEVERAL, "notes.md": b"# no code\n"},
    "windows": {"sort.py": SORT.replace(b"\n", b"\r\n")},
}


def context(
    files: Files,
    seed: int,
    *,
    parent: Files | None = None,
    inspirations: Sequence[Files] = (),
    is_seen: Callable[[Files], bool] = lambda files: False,
) -> Context:
    """Return what an operator would see of a program, with dice of its own."""
    return Context(
        Brief("", files),
        elite(0, files if parent is None else parent),
        [elite(i, each) for i, each in enumerate(inspirations, start=1)],
        random.Random(seed),
        is_seen,
    )


def elite(number: int, files: Files) -> Elite:
    return Elite(Program(number, files), Evaluation("ok", objectives=(0.0,)))


def propose(operator: Mutate | Crossover, at: Context) -> Proposal:
    """Run the operator, which never waits for anything."""
    coroutine = operator.propose(at)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        proposal = stop.value
        assert isinstance(proposal, Proposal)
        return proposal
    raise AssertionError("the operator awaited something")


def descendant(operator: Mutate, files: Files, seed: int, generations: int) -> Files:
    """Return a program some random steps away from another."""
    for generation in range(generations):
        files = propose(operator, context(files, seed * 1000 + generation)).files
    return files
