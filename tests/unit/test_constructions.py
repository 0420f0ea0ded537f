"""The evaluators of constructions: known values, independent arithmetic, and known cheats."""

from __future__ import annotations

import math
from functools import cache
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from fake_candidate import InProcessCandidate

from evolver.bundled import bundled
from evolver.errors import CandidateOutputError
from evolver.tasks.plugins import load_module
from evolver.tasks.task import load_task
from evolver.types import Result


@cache
def module(name: str) -> Any:
    return load_module(bundled("evaluators") / f"{name}.py")


def judge(name: str, function: str, value: object, **settings: Any) -> Result:
    """Judge a program whose function returns this value."""
    source = f"from numpy import array, nan, inf\ndef {function}(*_):\n    return {value!r}\n"
    result: Result = module(name).Evaluator(**settings).evaluate(InProcessCandidate(source))
    return result


def heights(*values: float, **settings: Any) -> float:
    result = judge("autocorrelation", "heights", list(values), **settings)
    return result.metrics["bound"]


# --- autocorrelation ------------------------------------------------------------------------------


def test_a_constant_function_has_the_known_autocorrelation() -> None:
    assert heights(*[1.0] * 40) == 2.0
    assert heights(*[0.1] * 40, inequality="third") == 2.0
    assert heights(*[-3.0] * 40, inequality="third-absolute") == 2.0
    assert heights(*[1.0] * 40, inequality="second") == pytest.approx(2 / 3, abs=1e-15)


@pytest.mark.parametrize("inequality", ["first", "second", "third", "third-absolute"])
def test_autocorrelation_agrees_with_floating_point(inequality: str) -> None:
    rng = np.random.default_rng(3)
    for steps in (1, 2, 17, 80):
        low = 0.0 if inequality in ("first", "second") else -0.4
        values = rng.uniform(low, 1.0, steps)
        square = np.convolve(values, values)
        if inequality == "second":
            y = np.concatenate([[0], square, [0]])
            squared = (y[:-1] ** 2 + y[:-1] * y[1:] + y[1:] ** 2).sum() / 3
            expected = squared / ((y[:-1] + y[1:]).sum() / 2 * y.max())
        else:
            top = np.abs(square).max() if inequality == "third-absolute" else square.max()
            expected = abs(2 * steps * top / values.sum() ** 2)
        found = heights(*values.tolist(), inequality=inequality)
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "values",
    [
        [1.0, -0.1],  # a negative height
        [1.0, math.nan],
        [1.0, math.inf],
        [0.0, 0.0],
        [1j, 1.0],
        [],
        [[1.0, 1.0]],
    ],
    ids=str,
)
def test_heights_that_are_none_are_refused(values: Any) -> None:
    with pytest.raises(CandidateOutputError):
        judge("autocorrelation", "heights", values)


def test_neither_underflow_nor_overflow_makes_a_bound() -> None:
    # Squares of 1e-161 are 0 in floating point, and those of 1e300 infinite.
    assert heights(*[1e-161] * 10) == 2.0
    assert heights(*[1e300] * 10) == 2.0
    assert heights(1.0, 1e-300) == heights(1.0, 0.0) == 4.0


def test_a_candidate_cannot_report_its_own_score() -> None:
    with pytest.raises(CandidateOutputError, match="must be an array"):
        judge("autocorrelation", "heights", {"bound": 0.1})


# --- minimum overlap ------------------------------------------------------------------------------


def test_overlap_agrees_with_floating_point_and_mends_the_integral() -> None:
    assert judge("minimum_overlap", "heights", [0.5] * 10).metrics["bound"] == 0.5
    rng = np.random.default_rng(5)
    for steps in (2, 9, 50):
        values = rng.uniform(0, 1, steps)
        mean = values.mean()
        mended = values * 0.5 / mean if mean > 0.5 else 1 - (1 - values) * 0.5 / (1 - mean)
        expected = 2 / steps * np.correlate(mended, 1 - mended, "full").max()
        found = judge("minimum_overlap", "heights", values.tolist()).metrics["bound"]
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("values", [[0.5, 1.0 + 1e-9], [-1e-9, 0.5], [math.nan]], ids=str)
def test_heights_outside_of_the_unit_interval_are_refused(values: list[float]) -> None:
    with pytest.raises(CandidateOutputError):
        judge("minimum_overlap", "heights", values)


# --- sums and differences -------------------------------------------------------------------------


def test_sums_and_differences_are_counted() -> None:
    rng = Random(1)
    for _ in range(20):
        values = [rng.randrange(-50, 50) for _ in range(rng.randrange(2, 20))]
        if len(set(values)) < 2:
            continue
        least = min(values)
        found = sorted({value - least for value in values})
        sums = len({a + b for a in found for b in found})
        differences = len({a - b for a in found for b in found})
        expected = 1 + math.log(differences / sums) / math.log(2 * found[-1] + 1)
        bound = judge("sums_and_differences", "integers", values).metrics["bound"]
        assert bound == pytest.approx(expected, rel=1e-14)
        assert bound <= expected + 1e-15


@pytest.mark.parametrize("values", [[0], [3, 3], [0.5, 1.0], [0, 10**7], ["1", "2"]], ids=str)
def test_sets_that_are_none_are_refused(values: Any) -> None:
    with pytest.raises(CandidateOutputError):
        judge("sums_and_differences", "integers", values)


# --- uncertainty ----------------------------------------------------------------------------------


def test_the_last_root_of_a_combination_agrees_with_floating_point() -> None:
    from numpy.polynomial import hermite

    rng = np.random.default_rng(7)
    for _ in range(20):
        given = rng.normal(size=3) * [1.0, 1e-2, 1e-4]
        full = np.zeros(13)
        full[[0, 4, 8]] = given
        at_zero = [hermite.hermval(0.0, np.eye(13)[k]) for k in (0, 4, 8, 12)]
        full[12] = -(given @ at_zero[:3]) / at_zero[3]
        roots = np.polynomial.polynomial.polyroots(hermite.herm2poly(full)[2::2])
        real = roots[np.abs(roots.imag) < 1e-9].real
        if not (real > 0).any():
            continue
        result = judge("uncertainty", "coefficients", given.tolist())
        expected = float(real.max()) / (2 * math.pi)
        assert result.metrics["bound"] == pytest.approx(expected, rel=1e-6)


def test_a_published_combination_has_its_bound() -> None:
    given = [0.32925, -0.01159, -8.9216e-05]  # to as many digits as the paper prints
    assert judge("uncertainty", "coefficients", given).metrics["bound"] == pytest.approx(
        0.35215, abs=1e-5
    )


def test_coefficients_that_cancel_are_refused() -> None:
    with pytest.raises(CandidateOutputError, match="is 0"):
        judge("uncertainty", "coefficients", [0.0, 0.0, 0.0])


# --- distances ------------------------------------------------------------------------------------


def test_distance_ratios_are_exact() -> None:
    grid = [[i % 4, i // 4] for i in range(16)]
    assert judge("distance_ratio", "points", grid).metrics["ratio"] == 18.0
    with pytest.raises(CandidateOutputError, match="coincide"):
        judge("distance_ratio", "points", [[0.0, 0.0]] * 16)
    # All in one place but for what floats can tell apart: still measured, and no good.
    near = [[1.0 + 1e-15 * i, 1.0] for i in range(16)]
    assert judge("distance_ratio", "points", near).metrics["ratio"] > 100


def test_small_triangles_are_found() -> None:
    rng = np.random.default_rng(11)
    points = rng.dirichlet([1.0, 1.0, 1.0], 11)[:, :2]
    expected = min(
        abs(np.linalg.det(np.column_stack([points[list(c)], np.ones(3)])))
        for c in combinations(range(11), 3)
    )
    found = judge("heilbronn", "points", points.tolist()).metrics["area"]
    assert found == pytest.approx(expected, rel=1e-9)
    square = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    settings = {"region": "convex", "points": 4}
    assert judge("heilbronn", "points", square, **settings).metrics["area"] == 0.5


def test_points_outside_of_the_triangle_gain_nothing() -> None:
    inside = [[0.1 * i, 0.01 * i * i] for i in range(5)]
    settings = {"region": "triangle", "points": 5}
    area = judge("heilbronn", "points", inside, **settings).metrics["area"]
    larger = [[3 * x, 3 * y] for x, y in inside]
    assert judge("heilbronn", "points", larger, **settings).metrics["area"] <= area * 9
    assert judge("heilbronn", "points", [[30 * x, 30 * y] for x, y in inside], **settings).metrics[
        "area"
    ] == pytest.approx(judge("heilbronn", "points", larger, **settings).metrics["area"])
    with pytest.raises(CandidateOutputError):
        judge("heilbronn", "points", [[-0.1, 0.5], *inside[1:]], **settings)


# --- kissing --------------------------------------------------------------------------------------


def _roots_of_e8() -> list[list[int]]:
    from itertools import product

    found = []
    for i, j in combinations(range(8), 2):
        for s, t in product((2, -2), repeat=2):
            point = [0] * 8
            point[i], point[j] = s, t
            found.append(point)
    found += [list(signs) for signs in product((1, -1), repeat=8) if math.prod(signs) == 1]
    return found


@pytest.mark.parametrize(
    ("points", "count"),
    [
        ([[1, 0], [0, 1], [-1, 0], [0, -1]], 4),
        ([[1, 1, 0], [1, -1, 0], [-1, 1, 0], [0, 1, 1], [0, 1, -1]], 5),
        (_roots_of_e8(), 240),
    ],
    ids=["square", "part of D3", "E8"],
)
def test_kissing_configurations_are_counted(points: list[list[int]], count: int) -> None:
    result = judge("kissing_number", "points", points, dimensions=len(points[0]))
    assert result.metrics["count"] == count


def test_spheres_that_overlap_do_not_count() -> None:
    points = _roots_of_e8()
    doubled = [*points, *points, [1, 1, 1, 1, 1, 1, 1, -1]]
    assert judge("kissing_number", "points", doubled, dimensions=8).metrics["count"] == 240
    huge = [[10**18, 0], [0, 10**18], [7 * 10**17, 7 * 10**17]]  # int64 would overflow
    assert judge("kissing_number", "points", huge, dimensions=2).metrics["count"] == 2
    with pytest.raises(CandidateOutputError, match="0, the center"):
        judge("kissing_number", "points", [[0, 0]], dimensions=2)


# --- packings -------------------------------------------------------------------------------------

GRID = ([[(i % 2 + 0.5) / 2, (i // 2 + 0.5) / 2] for i in range(4)], [0.25] * 4)


def pack(centers: Any, radii: Any, **settings: Any) -> Result:
    settings = {"circles": len(centers), **settings}
    return judge("circle_packing", "pack", (centers, radii), **settings)


def test_circles_that_just_touch_are_as_they_are() -> None:
    assert pack(*GRID).metrics["sum_of_radii"] == 1.0


def test_circles_within_a_tolerance_gain_nothing() -> None:
    centers, radii = GRID
    cheat = pack(centers, [r + 1e-7 for r in radii])
    assert cheat.metrics["sum_of_radii"] <= 1.0
    assert cheat.metrics["sum_of_radii"] == pytest.approx(1.0, abs=1e-12)
    assert "multiplied" in cheat.feedback


def test_the_mended_packing_is_feasible() -> None:
    rng = np.random.default_rng(13)
    for _ in range(20):
        centers = rng.uniform(0, 1, (7, 2))
        radii = rng.uniform(0, 0.5, 7)
        factor = pack(centers.tolist(), radii.tolist()).metrics["sum_of_radii"] / radii.sum()
        mended = radii * factor
        assert (mended <= np.minimum(centers, 1 - centers).min(axis=1) + 1e-15).all()
        gaps = np.hypot(*(centers[:, None] - centers[None]).transpose(2, 0, 1))
        gaps -= mended[:, None] + mended[None]
        assert gaps[np.triu_indices(7, 1)].min() >= -1e-15
        assert factor == 1 or min(
            gaps[np.triu_indices(7, 1)].min(),
            (np.minimum(centers, 1 - centers).min(axis=1) - mended).min(),
        ) == pytest.approx(0, abs=1e-12)


def test_a_rectangle_is_scaled_to_its_perimeter() -> None:
    row = [[float(i), 0.0] for i in range(3)]
    result = pack(row, [0.5] * 3, container="rectangle")
    assert result.metrics["sum_of_radii"] == pytest.approx(1.5 * 2 / (3 + 1))
    moved = [[7 * x + 1, 7 * y - 2] for x, y in row]
    again = pack(moved, [3.5] * 3, container="rectangle")
    assert again.metrics["sum_of_radii"] == pytest.approx(0.75, rel=1e-12)


@pytest.mark.parametrize(
    ("centers", "radii"),
    [
        ([[0.5, 0.5], [0.5, 0.5]], [0.1, 0.1]),  # one upon the other
        ([[0.5, 0.5], [1.5, 0.5]], [0.1, 0.1]),
        ([[0.2, 0.5], [0.8, 0.5]], [0.1, -0.1]),
        ([[0.2, 0.5], [0.8, 0.5]], [0.1, math.nan]),
        ([[0.2, 0.5], [0.8, 0.5]], [0.0, 0.0]),
    ],
)
def test_packings_that_are_none_are_refused(centers: Any, radii: Any) -> None:
    with pytest.raises(CandidateOutputError):
        pack(centers, radii)


def test_hexagons_around_one_have_the_known_side() -> None:
    around = [math.pi * (k / 3 + 1 / 6) for k in range(6)]
    ring = [[3**0.5 * math.cos(angle), 3**0.5 * math.sin(angle), 0.0] for angle in around]
    rows = [[0.0, 0.0, 0.0], *ring]
    side = judge("hexagon_packing", "pack", rows, hexagons=7).metrics["side"]
    # Seven hexagons of side 1 in a honeycomb: the hexagon around them, turned by 0, has side 3.
    assert 3.0 <= side < 3.0 + 1e-9
    overlapping = [[x * 0.9, y * 0.9, a] for x, y, a in rows]
    assert judge("hexagon_packing", "pack", overlapping, hexagons=7).metrics[
        "side"
    ] == pytest.approx(side, abs=1e-9)


def test_hexagons_of_any_angle_do_not_overlap_after_mending() -> None:
    evaluator = module("hexagon_packing")
    rng = np.random.default_rng(17)
    for _ in range(20):
        centers, angles = rng.normal(size=(5, 2)), rng.uniform(0, 7, 5)
        factor, _ = evaluator._spreading(centers, angles)
        around = angles[:, None] + np.arange(6) * np.pi / 3
        hexagons = np.stack([np.cos(around), np.sin(around)], axis=2)
        corners = factor * centers[:, None, :] + hexagons
        for one, other in combinations(range(5), 2):
            assert _are_apart(corners[one], corners[other])


def _are_apart(one: Any, other: Any) -> bool:
    """Look for a separating side by the corners themselves."""
    for polygon in (one, other):
        for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            normal = np.array([end[1] - start[1], start[0] - end[0]])
            if (one @ normal).max() <= (other @ normal).min() + 1e-9:
                return True
            if (other @ normal).max() <= (one @ normal).min() + 1e-9:
                return True
    return False


# --- the examples ---------------------------------------------------------------------------------

CONSTRUCTIONS = (
    "autocorrelation", "minimum_overlap", "sums_and_differences", "uncertainty", "distance_ratio",
    "heilbronn", "kissing_number", "circle_packing", "hexagon_packing",
)  # fmt: skip


def _examples() -> list[Path]:
    folders = sorted(path.parent for path in bundled("examples").glob("*/task.toml"))
    return [f for f in folders if load_task(f).settings.evaluator.use in CONSTRUCTIONS]


@pytest.mark.parametrize("folder", _examples(), ids=lambda folder: folder.name)
def test_the_seed_of_an_example_is_feasible_and_behind_the_record(folder: Path) -> None:
    task = load_task(folder)
    section = task.settings.evaluator
    evaluator = module(section.use).Evaluator(**section.with_)
    (source,) = task.files.values()
    metrics = evaluator.evaluate(InProcessCandidate(source.decode())).metrics
    records = evaluator.references()
    assert records
    ((name, direction),) = task.objective.directions
    sign = 1 if direction == "maximize" else -1
    for series in records.values():
        assert sign * metrics[name] < sign * series[0][name]
