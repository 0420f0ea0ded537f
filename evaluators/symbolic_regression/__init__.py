"""Scores formulas by how well they fit points of a known law, and by their size.

The evaluator reads a formula from the candidate's source and computes it; the candidate never runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evolver.errors import CandidateOutputError, UsageError
from evolver.types import Candidate, Result

from .formula import Steps, read
from .laws import LAWS, Law, Points

Array = NDArray[np.float64]

MOST_DIGITS = 12.0  # beyond this, rounding decides
LEAST_DIGITS = -12.0
RESOLVED = 3  # decimals of `digits`: smaller differences should not guide the search
_DRAWN, _KEPT = (
    600,
    0.3,
)  # random vectors to start a fit from; probability that a literal keeps its value
_MAGNITUDES = (-1.5, 1.0)  # range of decimal logarithms of random literals
_FITTED = 20260401  # seed of the fitted points


@dataclass(frozen=True)
class Evaluator:
    """Measures a formula against points of a law, without noise.

    The fitted points are the same for each evaluation. The points for the private metrics are new:
    within the same ranges, and beyond them, where a formula that only interpolates fails.

    Attributes:
        law: name of the formula to find: see `laws.LAWS`.
        points: number of fitted points, and of points for each private metric.
        fit_up_to: largest size of a formula whose literals are fitted.
        function: name of the candidate's function, with an argument for each input of the law.
    """

    law: str = "damped"
    points: int = 60
    fit_up_to: int = 30
    function: str = "formula"

    def __post_init__(self) -> None:
        if self.law not in LAWS:
            raise UsageError(f"there is no law '{self.law}'; there are {', '.join(LAWS)}")

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `digits`: -log10 of the root mean square error over the deviation; and `size`.

        Private: `held_out_digits` within the ranges and `extrapolated_digits` beyond them.

        Raises:
            CandidateError: the function is not a formula, or is not finite at some point.
        """
        formula = self._read(candidate)
        own = np.array(candidate.parameters, dtype=np.float64)
        digits = _digits(formula, own, self.fitted)
        if digits is None:
            raise CandidateOutputError("the formula is not finite at some of the points")
        rng = np.random.default_rng(candidate.rng.getrandbits(63))
        private = {
            name: LEAST_DIGITS if found is None else found
            for name, found in (
                ("held_out_digits", _digits(formula, own, self._law.draw(rng, self.points))),
                (
                    "extrapolated_digits",
                    _digits(formula, own, self._law.draw(rng, self.points, beyond=True)),
                ),
            )
        }
        return Result(
            {"digits": digits, "size": float(formula.size)},
            private,
            feedback=self._worst(formula, own),
        )

    def residuals(self, candidate: Candidate) -> Misfit | None:
        """Return the misfit at the fitted points as a function of the literals.

        None if the formula is larger than `fit_up_to`.

        Raises:
            CandidateError: the function is not a formula.
        """
        formula = self._read(candidate)
        if formula.size > self.fit_up_to:
            return None
        return Misfit(formula, self.fitted, np.array(candidate.parameters, dtype=np.float64))

    def _read(self, candidate: Candidate) -> Steps:
        return read(candidate.files, self.function, len(self._law.within))

    @property
    def _law(self) -> Law:
        return LAWS[self.law]

    @cached_property
    def fitted(self) -> Points:
        """The points for fitting and scoring."""
        return self._law.draw(np.random.default_rng(_FITTED), self.points)

    def _worst(self, formula: Steps, own: Array) -> str:
        points = self.fitted
        (values,) = formula.run(points.inputs, own[None])
        worst = int(np.abs(values - points.wanted).argmax())
        where = ", ".join(f"{values[worst]:.6g}" for values in points.inputs)
        return (
            f"worst at ({where}): the formula gives {values[worst]:.6g}, "
            f"the law {points.wanted[worst]:.6g}"
        )


@dataclass(frozen=True, eq=False)
class Misfit:
    """The residuals of a formula for vectors of its literals, for least squares."""

    formula: Steps
    points: Points
    own: Array  # (n,) the formula's literals

    def __call__(self, parameters: Array) -> Array:
        """Return the residuals (k, m) of the vectors (k, n)."""
        return self.points.residuals(self.formula.run(self.points.inputs, parameters))

    def starts(self, wanted: int, rng: np.random.Generator) -> Array:
        """Return the best of many random vectors, at most `wanted`.

        The misfit of a frequency has a local minimum every half period, and descent stays there:
        without these starts, at most three of ten fits of the form of "damped" found it.
        """
        drawn = 10.0 ** rng.uniform(*_MAGNITUDES, (_DRAWN, self.own.size))
        drawn *= rng.choice([-1.0, 1.0], drawn.shape)
        vectors = np.where(rng.random(drawn.shape) < _KEPT, self.own, drawn)
        with np.errstate(all="ignore"):
            costs = (self(vectors) ** 2).sum(axis=1)
        costs = np.where(np.isfinite(costs), costs, np.inf)
        best: Array = vectors[np.argsort(costs, kind="stable")[:wanted]]
        return best


def _digits(formula: Steps, own: Array, points: Points) -> float | None:
    """Return -log10 of the relative error; None if a value is not finite."""
    with np.errstate(all="ignore"):
        residuals = points.residuals(formula.run(points.inputs, own[None]))
        error = float(np.sqrt(np.mean(residuals**2)))
    if not math.isfinite(error):
        return None
    digits = MOST_DIGITS if error == 0 else -math.log10(error)
    return round(min(MOST_DIGITS, max(LEAST_DIGITS, digits)), RESOLVED)
