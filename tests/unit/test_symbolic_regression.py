"""Symbolic regression: formulas are read, computed and fitted as written, and nothing else is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from fake_candidate import InProcessCandidate

from evolver.bundled import bundled
from evolver.errors import CandidateOutputError, UsageError
from evolver.evaluation import tuning
from evolver.programs import literals
from evolver.tasks.plugins import load_module
from evolver.types import Tune

MODULE = load_module(bundled("evaluators") / "symbolic_regression")

EXACT = {
    "quartic": "def formula(x):\n    return x + x**2 + x**3 + x**4\n",
    "nguyen-5": "def formula(x):\n    return math.sin(x * x) * math.cos(x) - 1\n",
    "nguyen-7": "def formula(x):\n    return math.log((x + 1) * (x * x + 1))\n",
    "gaussian": "def formula(x):\n    return math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)\n",
    "mass": "def formula(m, v, c):\n    part = v / c\n    return m / math.sqrt(1 - part * part)\n",
    "kepler": "def formula(a, m):\n    '''Years.'''\n    return (a**3 / m) ** 0.5\n",
    "damped": "def formula(t):\n    return math.exp(-0.35 * t) * 1.3 * math.cos(2.2 * t)\n",
    "logistic": "def formula(x):\n    return 1.7 / (math.exp(-2.3 * x + 0.92) + 1)\n",
}


def judge(source: str, law: str = "quartic") -> Any:
    return MODULE.Evaluator(law=law).evaluate(InProcessCandidate(source, seed=3))


@pytest.mark.parametrize("law", EXACT)
def test_each_law_is_met_by_its_formula(law: str) -> None:
    assert set(EXACT) == set(MODULE.LAWS)
    result = judge(EXACT[law], law)
    assert result.metrics["digits"] == 12.0
    assert result.private["held_out_digits"] == 12.0
    assert result.private["extrapolated_digits"] >= 10


@pytest.mark.parametrize("law", EXACT)
def test_what_is_extrapolated_was_not_fitted(law: str) -> None:
    points = MODULE.LAWS[law].draw(np.random.default_rng(1), 200, beyond=True)
    outside = np.zeros(200, dtype=bool)
    for values, (low, high) in zip(points.inputs, MODULE.LAWS[law].within, strict=True):
        outside |= (values < low) | (values > high)
    assert outside.all()


def test_interpolation_alone_does_not_extrapolate() -> None:
    rng = np.random.default_rng(0)
    points = MODULE.LAWS["nguyen-7"].draw(rng, 60)
    powers = np.polyfit(points.inputs[0], points.wanted, 6).tolist()
    terms = " + ".join(f"{c!r} * x**{6 - i}" for i, c in enumerate(powers))
    result = judge(f"def formula(x):\n    return {terms}\n", "nguyen-7")
    assert result.private["held_out_digits"] > 3
    assert result.private["extrapolated_digits"] < 1


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ("return x", 1),
        ("return x + 1.5", 3),
        ("return -x", 2),
        ("return x * -1.5", 3),
        ("unused = x * x * x\n    return x", 1),
        ("y = x * x\n    return y + y", 6),
        ("x = x * 2.0\n    return x * x", 6),
        ("return math.exp(x)", 2),
    ],
)
def test_size_counts_what_the_result_hangs_on(body: str, size: int) -> None:
    assert judge(f"def formula(x):\n    {body}\n").metrics["size"] == size


def test_a_formula_is_computed_as_python_computes_it() -> None:
    source = (
        "import math\n\ndef formula(x):\n    a = -0.5 - x\n    b = a**2 / (1.5 + -x)\n"
        "    a = math.tanh(b) - +a\n    return (a - b) ** 3 * math.sqrt(b) - math.tan(x) / 2\n"
    )
    scope: dict[str, Any] = {}
    exec(source, scope)
    evaluator = MODULE.Evaluator(law="quartic")
    candidate = InProcessCandidate(source)
    misfit = evaluator.residuals(candidate)
    (found,) = misfit(np.array([candidate.parameters]))
    points = misfit.points
    expected = np.array([scope["formula"](x) for x in points.inputs[0].tolist()])
    assert np.allclose(found, points.residuals(expected), rtol=1e-12)


def test_literals_are_fitted() -> None:
    source = "def formula(t):\n    return math.exp(-0.5 * t) * 1.0 * math.cos(2.0 * t)\n"
    evaluator = MODULE.Evaluator(law="damped")
    candidate = InProcessCandidate(source)
    fitted = tuning.fit(evaluator.residuals, candidate, Tune(), 1)
    assert fitted is not None
    assert np.allclose(fitted.parameters, [-0.35, 1.3, 2.2])
    assert judge(source, "damped").metrics["digits"] < 1
    written = literals.substitute(candidate.files, fitted.parameters)["program.py"].decode()
    assert judge(written, "damped").metrics["digits"] > 9
    assert evaluator.evaluate(candidate.at(fitted.parameters)).metrics["digits"] > 9


def test_what_is_too_large_is_not_fitted() -> None:
    evaluator = MODULE.Evaluator(fit_up_to=2)
    assert evaluator.residuals(InProcessCandidate("def formula(t):\n    return t + 0.5\n")) is None


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\n",
        "def formula(x):\n    return x\ndef formula(x):\n    return x\n",
        "def formula(x, y):\n    return x\n",
        "def formula(*x):\n    return x\n",
        "def formula(x=1.0):\n    return x\n",
        "def formula(x):\n    x + 1\n",
        "def formula(x):\n    x = y = 1.0\n    return x\n",
        "def formula(x):\n    return z\n",
        "def formula(x):\n    return True\n",
        "def formula(x):\n    return 1j\n",
        "def formula(x):\n    return x if x > 0 else 0.0\n",
        "def formula(x):\n    return math.gamma(x)\n",
        "def formula(x):\n    return math.sin(x, x)\n",
        "def formula(x):\n    return __import__('os').getpid()\n",
        "def formula(x):\n    for y in [1]:\n        return x\n",
        f"def formula(x):\n    return {10**400}\n",
        "def formula(x):\n    return " + " + ".join(["x"] * 300) + "\n",
        "def formula(x):\n    return math.log(x - 5)\n",
        "def formula(x):\n    return 1e200 * 1e200\n",
        "def formula(x):\n    return x / 0.0\n",
    ],
)
def test_what_is_no_formula_is_refused(source: str) -> None:
    with pytest.raises(CandidateOutputError):
        judge(source)


@pytest.mark.parametrize(
    "source", ["def formula(:\n", "def formula(x):\n    return " + " + ".join(["x"] * 3000), "\0"]
)
def test_what_python_cannot_read_is_refused(source: str) -> None:
    with pytest.raises(CandidateOutputError, match="not valid Python"):
        MODULE.read({"formula.py": source.encode()}, "formula", 1)
    with pytest.raises(CandidateOutputError, match="one file"):
        MODULE.read({"a.py": b"", "b.py": b""}, "formula", 1)


def test_an_unknown_law_is_named() -> None:
    with pytest.raises(UsageError, match="'quintic'"):
        MODULE.Evaluator(law="quintic")
    assert math.isfinite(judge("def formula(x):\n    return 1e150\n").metrics["digits"])
