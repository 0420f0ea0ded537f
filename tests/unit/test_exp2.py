"""The exp2 evaluator: what it counts, what it measures, what it refuses."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import mpmath
import numpy as np
import pytest
from fake_candidate import InProcessCandidate

from evolver.bundled import bundled
from evolver.errors import CandidateCrashed, CandidateOutputError
from evolver.scoring import straightline
from evolver.scoring.straightline import GUEST
from evolver.scoring.straightline.line import BINARY
from evolver.tasks.plugins import load_module
from evolver.tasks.task import load_task
from evolver.types import Result

FOLDER = bundled("evaluators") / "exp2"
exp2 = load_module(FOLDER)
EVALUATOR = exp2.Evaluator()


def candidate_of(body: str, **options: Any) -> InProcessCandidate:
    """A candidate `exp2(x)` with the lines of `body`, the last of which is an expression."""
    *statements, value = [line.strip() for line in body.strip().splitlines()]
    lines = ["def exp2(x):", *(f"    {line}" for line in statements), f"    return {value}", ""]
    return InProcessCandidate("\n".join(lines), guest=GUEST, **options)


def evaluate(body: str) -> Result:
    result: Result = EVALUATOR.evaluate(candidate_of(body))
    return result


# --- operations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "operations"),
    [
        ("1.25", 0),
        ("x", 0),
        ("x + 1.0", 1),
        ("1.0 + x * (0.69 + 0.24 * x)", 4),
        ("(2.0 * 3.0 + 1.0) / 4.0 + x", 1),  # constants fold
        ("y = x * x\n1.0 + y + y * y", 4),  # a shared value counts once
        ("1.0 + x * x + (x * x) * (x * x)", 4),  # and so do equal expressions
        ("1.0 + (x + 2.0) * (2.0 + x)", 3),
        ("dead = x * x * x\nx + 1.0", 1),  # what does not reach the output is free
        ("2 * x + 1", 2),  # whole numbers are constants too
        ("1.0 - x * -1.5", 2),
        ("-(x - 1.5)", 1),  # 1.5 - x
        ("-(x * 1.5 + 2.0)", 2),
        ("-x + 2.0", 1),
        ("1.0 / -(x + 2.0)", 2),
        ("-x", 1),  # 0 - x
        ("-(x * x)", 2),
        ("-(x + x)", 2),
        ("-((x + 1.0) * x)", 2),  # (-1 - x) * x
        ("y = x + 1.0\n-(y * y)", 3),  # the factor is used twice: no sign can go into it
        ("y = x - 3.0\nz = 3.0 - x\ny * z", 3),  # z is -y: two, and the sign
        ("x - x", 1),
    ],
)
def test_operations_are_counted_by_the_rule(body: str, operations: int) -> None:
    line = straightline.parse(candidate_of(body).call("guest:trace", "exp2"))
    assert straightline.count_operations(line) == operations


def test_sharing_that_doubles_at_every_step_is_counted_in_linear_time() -> None:
    body = "y = x + 1.0\n" + "y = y * y\n" * 200 + "-y"
    line = straightline.parse(candidate_of(body).call("guest:trace", "exp2"))
    assert straightline.count_operations(line) == 202


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("x if x > 0.5 else 1.0", "a comparison"),
        ("1.0 if x else 2.0", "a branch on the truth"),
        ("float(x)", "float()"),
        ("int(x)", "float()"),
        ("__import__('math').exp(x)", "float()"),
        ("x ** 2", "a power"),
        ("2.0 ** x", "a power"),
        ("abs(x)", "abs()"),
        ("[1.0, 2.0][x]", "float()"),
        ("x[0]", "indexing"),
        ("x // 1", "// or %"),
        ("x + 'a'", "operand of type str"),
        ("x + 1e999", "not finite"),
        ("x + True", "operand of type bool"),
        ("x + 1j", "operand of type complex"),
    ],
)
def test_what_is_no_straight_line_is_refused_with_a_reason(body: str, said: str) -> None:
    with pytest.raises(CandidateCrashed) as caught:
        evaluate(body)
    assert said in str(caught.value)


def test_a_missing_function_is_named() -> None:
    candidate = InProcessCandidate("def other(x):\n    return x\n", guest=GUEST)
    with pytest.raises(CandidateCrashed, match=r"no function exp2\(x\)"):
        EVALUATOR.evaluate(candidate)


@pytest.mark.parametrize(
    "forged",
    [
        None,
        [],
        {"nodes": [["x"]]},
        {"nodes": [["x"]], "output": 1},
        {"nodes": [["x"]], "output": True},
        {"nodes": [["x"]], "output": -1},
        {"nodes": [["x"], ["+", 0, 1]], "output": 1},  # its own operand
        {"nodes": [["x"], ["+", 0, -1]], "output": 1},
        {"nodes": [["x"], ["+", 0, 0.0]], "output": 1},
        {"nodes": [["x"], ["+", 0]], "output": 1},
        {"nodes": [["x"], ["exp", 0]], "output": 1},
        {"nodes": [["x"], [["+"], 0, 0]], "output": 1},
        {"nodes": [["x"], ["c", math.inf]], "output": 1},
        {"nodes": [["x"], ["c", math.nan]], "output": 1},
        {"nodes": [["x"], ["c", 1]], "output": 1},
        {"nodes": [["x"], ["p", 0]], "output": 1},
        {"nodes": [["x"]] * (straightline.MAX_NODES + 1), "output": 0},
        {"nodes": [["x"]], "output": 0, "digits": 99},
    ],
)
def test_a_forged_list_is_refused(forged: object) -> None:
    with pytest.raises(CandidateOutputError):
        straightline.parse(forged)


class Forger(InProcessCandidate):
    """A candidate whose guest returns a list that is not its program."""

    def call(self, function: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        if function == "guest:trace":
            return {"nodes": [["x"], ["c", 0.5], ["+", 0, 1]], "output": 2}
        return super().call(function, *args, timeout=timeout, **kwargs)


def test_a_list_that_is_not_the_program_is_found_out() -> None:
    source = "def exp2(x):\n    return x + 0.75\n"
    with pytest.raises(CandidateOutputError, match="differs"):
        EVALUATOR.evaluate(Forger(source, guest=GUEST))


def test_a_program_that_tells_numbers_from_symbols_is_found_out() -> None:
    with pytest.raises(CandidateOutputError, match="differs"):
        evaluate("x + 1.0 if isinstance(x, float) else x + 0.9")


# --- the error ------------------------------------------------------------------------------------


def error_by_mpmath(body: str) -> float:
    """The largest relative error at 500 points, with 50 digits."""
    line = straightline.parse(candidate_of(body).call("guest:trace", "exp2"))
    with mpmath.workdps(50):
        points = [mpmath.mpf(i) / 500 for i in range(1, 501)]
        errors = [
            abs(line.run(x, constant=mpmath.mpf)[-1] / mpmath.mpf(2) ** x - 1) for x in points
        ]
        return float(max(errors))


@pytest.mark.parametrize(
    "body",
    [
        "1.0 + x * (0.69 + 0.24 * x)",
        "u = x + 25.5528 / x - 8.83778\n17.7149 / u + 0.999996",
        """s = x * x
        w = 43.36751741 - 27897.52018233 / (s + 781.31212301 - 8790.94913344 / (s + 95.36684487))
        (w + x) / (w - x)""",
    ],
)
def test_the_error_is_that_of_real_arithmetic(body: str) -> None:
    measured = evaluate(body).metrics["error"]
    assert error_by_mpmath(body) == pytest.approx(measured, rel=2e-3)
    assert evaluate(body).metrics["digits"] == pytest.approx(-math.log10(measured), abs=1e-4)


def test_float64_error_includes_the_rounding() -> None:
    metrics = evaluate("u = x + 1e9\n(u - 1e9) * 0.9 + 1.03").metrics
    assert metrics["error"] < metrics["float64_error"] < metrics["error"] + 1e-5


@pytest.mark.parametrize(
    "body",
    [
        "1.0 / (x - 0.3141592653)",
        "x / (x * x - 0.111)",
        "1.0 + x + 1e-13 / (x - 0.31415926535)",  # narrower than the grid by far
    ],
)
def test_a_pole_between_grid_points_is_seen(body: str) -> None:
    try:
        error = evaluate(body).metrics["error"]
    except CandidateOutputError:  # the search has hit it: no finite value there
        error = math.inf
    assert error > 100


def test_a_pole_that_is_divided_away_is_none() -> None:
    # 1 / (x - c + 1 / (x - c)) = (x - c) / ((x - c)**2 + 1)
    body = "u = x - 0.31415926535\n1.3 + 0.5 / (u + 1.0 / u)"
    assert evaluate(body).metrics["error"] < 0.5


def test_division_by_zero_is_infinity_at_the_end_of_the_interval() -> None:
    assert evaluate("1.0 + 1.0 / (1.5 / x + -0.5)").metrics["error"] < 0.05
    with pytest.raises(CandidateOutputError, match=r"x = 0\.0"):
        evaluate("1.0 + 1.0 / x")


def test_a_division_of_constants_by_zero_is_the_programs_fault() -> None:
    with pytest.raises(CandidateCrashed, match="ZeroDivisionError"):
        evaluate("x + 1.0 / 0.0")


def test_other_intervals_and_names() -> None:
    candidate = InProcessCandidate("def power(x):\n    return 1.5 + x * 0.0\n", guest=GUEST)
    evaluator = exp2.Evaluator(function="power", x_min=-1.0, x_max=1.0)
    assert evaluator.evaluate(candidate).metrics["error"] == pytest.approx(2.0)


# --- extended precision ---------------------------------------------------------------------------


def test_double_double_agrees_with_mpmath() -> None:
    rng = np.random.default_rng(1)
    highs = rng.uniform(-5, 5, (2, 200))
    lows = highs * 1e-17
    with mpmath.workdps(60):
        a, b = (straightline.DoubleDouble(highs[i], lows[i]) for i in range(2))
        exact_a, exact_b = (
            [mpmath.mpf(high) + mpmath.mpf(low) for high, low in zip(*rows, strict=True)]
            for rows in zip(highs.tolist(), lows.tolist(), strict=True)
        )
        for name, operation in BINARY.items():
            result = operation(a, b)
            for i in range(200):
                exact = operation(exact_a[i], exact_b[i])
                got = mpmath.mpf(float(result.high[i])) + mpmath.mpf(float(result.low[i]))
                scale = abs(exact_a[i]) + abs(exact_b[i]) if name in "+-" else abs(exact)
                assert abs(got - exact) <= 2e-31 * scale, name


def test_double_double_follows_ieee_infinities() -> None:
    zero = straightline.DoubleDouble.of(np.array([0.0, 2.0]))
    with np.errstate(all="ignore"):
        over = 3.0 / zero
        again = 5.0 / (over + zero * 2.0 - 1.0)
    assert over.high.tolist() == [math.inf, 1.5]
    assert again.high[0] == 0.0
    assert again.high[1] == pytest.approx(5.0 / 4.5)
    assert np.isfinite(again.low).all()


def test_an_evaluation_depends_on_its_candidates_seed_alone() -> None:
    body = "1.0 + x * (0.69 + 0.24 * x)"
    first, second = (EVALUATOR.evaluate(candidate_of(body, seed=3)) for _ in range(2))
    assert first == second
    assert candidate_of(body, seed=3).rng.random() == Random(3).random()


# --- as the Python that it is ---------------------------------------------------------------------

AS_PYTHON = exp2.Evaluator(as_python=True)
GUARD = "if isinstance(x, int | float) and x == 0: return 1.0\n"


@pytest.mark.parametrize(
    ("body", "is_refused"),
    [
        ("1.0 + x", False),
        ("1.0 + 1.0 / (1.0 / x + 0.01)", True),  # 1/0 is infinity, and 1 / infinity is 0
        (GUARD + "1.0 + 1.0 / (1.0 / x + 0.01)", False),
        (GUARD + "1.0 + x / (1.0 + 0.001 / (1.0 / (x - 0.5)))", True),  # and at 0.5
        ("1.0 + x / (1.0 + 0.001 / (1.0 / (x - 1.0)))", True),
        (GUARD.replace("1.0", "float('inf')") + "1.0 + x", True),
        (GUARD.replace("1.0", "None") + "1.0 + x", True),
    ],
)
def test_a_form_that_raises_somewhere_in_python_is_refused(body: str, is_refused: bool) -> None:
    evaluate(body)  # in IEEE 754 each is defined everywhere
    if is_refused:
        with pytest.raises(CandidateOutputError, match=r"plain Python|must be a finite number"):
            AS_PYTHON.evaluate(candidate_of(body))
    else:
        AS_PYTHON.evaluate(candidate_of(body))


@pytest.mark.parametrize("number", range(1, 12))
def test_an_announced_program_runs_on_the_whole_interval(number: int) -> None:
    source = (bundled("examples") / "exp2" / "best" / str(number) / "exp2.py").read_text("utf-8")
    found: dict[str, Any] = {}
    exec(source, found)
    tiny = math.ulp(0.0)
    points = [0, 0.0, -0.0, 1, 1.0, tiny, 1e-310, 2.3e-308, *(i / 8192 for i in range(8193))]
    points += [math.nextafter(1.0, 0.0), 1e-17, 1e-9, *(Random(1).random() for _ in range(2000))]
    values = [found["exp2"](x) for x in points]
    assert all(math.isfinite(value) for value in values)
    worst = max(abs(value / 2.0**x - 1.0) for x, value in zip(points, values, strict=True))
    digits = AS_PYTHON.evaluate(InProcessCandidate(source, guest=GUEST)).metrics["digits"]
    assert worst < 1.01 * 10**-digits + 1e-15


def test_the_demo_asks_for_programs_that_run_as_python() -> None:
    task = load_task(bundled("examples") / "exp2")
    assert task.settings.evaluator.with_["as_python"] is True
