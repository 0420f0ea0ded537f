"""Fits the literals of straight lines to a function of floats: residuals in ULP."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from evolver.scoring.straightline import Array, DoubleDouble, LineResiduals, Samples, StraightLine
from evolver.scoring.straightline.minimax import Levelling, rounded

from .functions import Function
from .trusted import yardstick
from .writing import in_float

_FIT_POINTS = 32
_LEVELLING_POINTS = 257
_INSET = 1e-9  # from the ends of the interval, where forms with c/x have no derivative
_LARGEST = 3e38  # largest literal that is a float


@dataclass(frozen=True, eq=False)
class FloatResiduals(LineResiduals):
    """The errors of a straight line in ULP, in exact arithmetic with rounded literals."""

    def refine(self, parameters: Array) -> Array:
        """Return float32 literals (n,) with the smallest largest error that is reached."""
        levelling = Levelling(self.line, self.levelled)
        exact = levelling.refine(parameters)
        if not (np.isfinite(exact).all() and np.abs(exact).max(initial=0.0) < _LARGEST):
            return exact
        nearest = exact.astype(np.float32).astype(np.float64)
        errors, slopes = levelling.errors(exact[None])[0], levelling.slopes(exact)
        choices = [nearest]
        if np.isfinite(slopes).all() and np.isfinite(errors).all():
            choices.append(rounded(nearest, exact - nearest, errors, slopes, _spacing))
        largest = np.abs(levelling.errors(np.array(choices))).max(axis=1)
        best: Array = choices[int(np.nanargmin(largest))] if np.isfinite(largest).any() else nearest
        return best


def _spacing(values: Array) -> Array:
    return np.spacing(values.astype(np.float32)).astype(np.float64)


def float_residuals(function: Function, line: StraightLine, own: Array) -> FloatResiduals:
    """Return the residuals of a line with its literals as parameters."""
    fitted, levelled = _samples(function)
    return FloatResiduals(line, own, fitted, levelled)


def rough_error(function: Function, line: StraightLine) -> float:
    """Return the largest error in ULP at some points, exact but for the rounded constants."""
    _, levelled = _samples(function)
    with np.errstate(all="ignore"):
        errors = np.abs(levelled.errors(line.with_constants(in_float).run(levelled.x)[-1]))
    return float(np.where(np.isfinite(errors), errors, np.inf).max())


@lru_cache
def _samples(function: Function) -> tuple[Samples, Samples]:
    """Return the points for fitting literals, and for levelling errors."""
    low, high = function.low, function.high
    middle, half = (low + high) / 2, (high - low) / 2
    first_kind = np.cos((np.arange(_FIT_POINTS) + 0.5) * np.pi / _FIT_POINTS)
    second_kind = np.cos(np.linspace(np.pi, 0.0, _LEVELLING_POINTS)) * (1.0 - 2.0 * _INSET)
    return (
        _at(function, middle - half * first_kind),
        _at(function, middle + half * second_kind),
    )


def _at(function: Function, x: Array) -> Samples:
    exact = yardstick(function).at(x)
    exponents = np.maximum(np.frexp(exact)[1] - 1, -126)
    return Samples(x, DoubleDouble.of(exact), np.ldexp(1.0, exponents - 23))
