"""References that are timed against themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from evolver.evaluation.auditing import against_themselves, describe, record


def draws() -> Iterator[tuple[int]]:
    number = 0
    while True:
        number += 1
        yield (number,)


def work(x: int) -> int:
    return sum(range(x, x + 3000))


def test_a_reference_is_as_fast_as_itself() -> None:
    found = against_themselves([(work, draws(), 3)])
    assert found
    assert 0.7 < sorted(found)[len(found) // 2] < 1.4  # other work may spoil some


def test_each_reference_is_timed() -> None:
    found = against_themselves([(work, draws(), 1), (work, draws(), 1)], limit=60.0)
    assert len(found) == 14


@pytest.mark.parametrize("error", [ValueError, OSError, SystemExit])
def test_one_that_fails_in_a_fork_is_left_out(error: type[BaseException]) -> None:
    here = os.getpid()

    def fails(x: int) -> int:
        if os.getpid() != here:
            raise error
        return x

    assert against_themselves([(fails, draws(), 2)]) == ()


def test_inputs_that_run_out_are_no_fault() -> None:
    assert against_themselves([(work, iter([(1,)]), 2)]) == ()


def test_what_is_found_is_told() -> None:
    found = [0.99, 1.0, 1.01, 1.0, 1.0, 1.0, 1.02]
    assert describe(found) == "the reference against itself 1.00, within 2 %"
    assert record(found) == {"speedup": 1.0, "low": 0.99, "high": 1.02, "times": 7}
    assert "measured 2 times" in describe(found[:2])
    assert record([]) is None
