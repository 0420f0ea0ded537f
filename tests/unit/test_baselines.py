"""The stored table of classical approximations: recomputed, and compared with known numbers."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import pytest
from fake_candidate import InProcessCandidate

from evolver.bundled import bundled
from evolver.scoring.straightline import GUEST
from evolver.tasks.plugins import load_module

FOLDER = bundled("evaluators") / "exp2"
exp2 = load_module(FOLDER)
baselines = exp2.baselines

# Largest relative errors by operation count, 2 to 14, computed independently of this project's
# code. The known Taylor column is about 1/2, which is nearly but not quite the best centre.
KNOWN = {
    "Padé": (
        None, 3.5391285e-3, 3.5391285e-3, 3.5391285e-3, 6.9942336e-6, 6.9942336e-6, 6.9942336e-6,
        5.9859756e-9, 5.9859756e-9, 5.9859756e-9, 2.8498496e-12, 2.8498496e-12, 2.8498496e-12,
    ),
    "minimax polynomial": (
        2.9821205e-2, 2.9821205e-2, 1.7247629e-3, 1.7247629e-3, 7.4781408e-5, 7.4781408e-5,
        2.5933701e-6, 2.5933701e-6, 7.4936451e-8, 7.4936451e-8, 1.8557997e-9, 1.8557997e-9,
        4.0210998e-11,
    ),
    "minimax ratio": (
        2.9821205e-2, 2.9821205e-2, 8.6723949e-4, 8.6723949e-4, 2.5033816e-5, 2.5033816e-5,
        4.3403437e-7, 4.3403437e-7, 7.5201446e-9, 7.5201446e-9, 9.3095244e-11, 9.3095244e-11,
        1.1522286e-12,
    ),
    "continued fraction": (
        2.9821205e-2, 8.6723949e-4, 8.6723949e-4, 2.5033816e-5, 4.3403437e-7, 4.3403437e-7,
        7.5201446e-9, 9.3095244e-11, 9.3095244e-11, 1.1522286e-12, 1.1093228e-14, 1.1093228e-14,
        1.0679175e-16,
    ),
    "with squarings": (
        2.9821205e-2, 8.6723949e-4, 2.1682443e-4, 2.5033816e-5, 4.3403437e-7, 2.7127189e-8,
        1.6954496e-9, 9.3095244e-11, 1.4546139e-12, 2.2728344e-14, 3.5513038e-16, 5.5489122e-18,
        8.6701754e-20,
    ),
    "best structured": (
        2.982120e-2, 8.672395e-4, 2.168244e-4, 1.388820e-5, 4.340344e-7, 1.270543e-9, 2.014822e-11,
        3.159664e-13, 1.723404e-15, 1.682968e-18, 1.643487e-21, 1.604959e-24, 1.567341e-27,
    ),
}  # fmt: skip
TAYLOR_ABOUT_HALF = (
    7.5915509e-2, 9.0173867e-3, 7.9444622e-4, 5.5684319e-5, 3.2422399e-6, 1.6149159e-7,
    7.0289064e-9,
)  # fmt: skip  # degrees 1 to 7


def errors_of(table: list[Any]) -> dict[tuple[str, int], float]:
    return {(baseline.series, baseline.operations): baseline.error for baseline in table}


@pytest.mark.slow
def test_the_stored_table_is_what_is_computed() -> None:
    computed = errors_of(baselines.best_of(baselines.compute()))
    stored = errors_of(baselines.stored())
    assert computed == pytest.approx(stored, rel=1e-5)


@pytest.mark.parametrize("series", KNOWN)
def test_the_stored_table_agrees_with_known_numbers(series: str) -> None:
    stored = errors_of(baselines.stored())
    for operations, error in enumerate(KNOWN[series], start=2):
        assert stored.get((series, operations)) == (error and pytest.approx(error, rel=1e-3))


def test_taylor_about_one_half_agrees_and_the_best_centre_is_better() -> None:
    stored = errors_of(baselines.stored())
    with mpmath.workdps(30):
        for degree, error in enumerate(TAYLOR_ABOUT_HALF, start=1):
            half = float(baselines.taylor_error(degree, centre=mpmath.mpf(1) / 2))
            assert half == pytest.approx(error, rel=1e-6)
            assert 0.7 * half < stored["Taylor", 2 * degree] < half


def test_the_references_lie_in_the_space_of_the_metrics() -> None:
    series = exp2.Evaluator().references()
    assert list(series) == list(baselines.SERIES)
    for points in series.values():
        assert all(point["digits"] == -math.log10(point["error"]) for point in points)
        digits = [point["digits"] for point in points]
        assert digits == sorted(digits)
    assert exp2.Evaluator(x_max=2.0).references() == {}


# Programs with the literals of some baselines: operations, and the tabulated error.
PROGRAMS = {
    "Taylor polynomial of degree 5 about 1/2": (
        """
def exp2(x):
    y = x - 0.5
    return 1.4142135623730951 + y * (0.9802581434685472 + y * (0.33973145614480107 +
        y * (0.07849458439652594 + y * (0.013602087862461938 + y * 0.0018856496974130285))))
""",
        11,  # the shift takes one more than the expanded polynomial
        3.2422399e-6,
    ),
    "continued fraction (2,2)": (
        """
def exp2(x):
    return 1.4142135623730951 + 24.54463479 / (x - 9.17783885 + 25.03910671 / (x - 0.5))
""",
        6,
        4.3403437e-7,
    ),
    "odd-symmetric form": (
        """
def exp2(x):
    s = x * x
    w = 43.36751740857375 - 27897.520182313416 / (
        s + 781.3121230134902 - 8790.949133440272 / (s + 95.3668448722434)
    )
    return (w + x) / (w - x)
""",
        10,
        1.723404e-15,
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_measure_what_is_tabulated(name: str) -> None:
    source, operations, error = PROGRAMS[name]
    candidate = InProcessCandidate(source, guest=GUEST)
    metrics = exp2.Evaluator().evaluate(candidate).metrics
    assert metrics["operations"] == operations
    # float64 literals are not quite the best real ones
    assert 0.999 * error < metrics["error"] < 1.05 * error
