"""Scores programs that approximate 2**x with + - * / only: digits up, operations down.

Guest code traces the candidate's function on a symbolic argument in the sandbox. The evaluator
checks the straight-line list that comes out against the function's own values at secret random
inputs, and computes both numbers from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evolver.scoring.straightline import (
    GUEST,
    LineResiduals,
    count_operations,
    require_values,
    trace,
    trace_parameters,
)
from evolver.types import Candidate, Result

from . import baselines, measure, target

# Decimals of `digits`: the grid resolves no more, and a smaller difference should not guide the
# search.
RESOLVED = 4


@dataclass(frozen=True)
class Evaluator:
    """Measures an approximation of 2**x on an interval.

    Operations: each of + - * / on values that depend on x is 1 (so a fused multiply-add is 2);
    see `evolver.scoring.straightline.count_operations`. Error: the largest relative error over the
    interval, in real arithmetic, with the constants exactly as the floats of the source; c/0 is
    infinity and c/infinity is 0.

    Attributes:
        function: name of the candidate's function of one argument.
        x_min: lower end of the interval.
        x_max: upper end of the interval.
        fit_up_to: largest number of operations for which literals are fitted; set it to the task's
            limit, so that no time goes into programs that will be rejected.
        as_python: must the function return finite floats as plain Python, where c/0 raises? It is
            called at the ends of the interval, at the smallest float above the lower one, and
            where a divisor was found to be 0.
    """

    function: str = "exp2"
    x_min: float = 0.0
    x_max: float = 1.0
    fit_up_to: int = 40
    as_python: bool = False

    guest = {"guest.py": GUEST.read_bytes()}  # noqa: RUF012 - no field, and never changed

    def evaluate(self, candidate: Candidate) -> Result:
        """Return `digits` (-log10 of the largest relative error) and `operations`.

        Further metrics: `error`, and `float64_error`, the error in float64 arithmetic.

        Raises:
            CandidateError: the program is no straight line, or is not finite somewhere.
        """
        line = trace(candidate, self.function, self.x_min, self.x_max)
        operations = count_operations(line)
        measured = measure.measure(line, self.x_min, self.x_max, candidate.rng)
        if self.as_python:
            ends = (self.x_min, math.nextafter(self.x_min, self.x_max), self.x_max)
            points = dict.fromkeys((*ends, *measured.divided_by_zero))
            require_values(candidate, self.function, tuple(points))
        return Result(
            metrics={
                "digits": round(-math.log10(measured.error), RESOLVED),
                "operations": float(operations),
                "error": measured.error,
                "float64_error": measured.float64_error,
            },
            feedback=(
                f"{operations} operations; largest relative error {measured.error:.4g} at "
                f"x = {measured.worst_x:.6g}; the error changes sign {measured.sign_changes} times"
            ),
        )

    def residuals(self, candidate: Candidate) -> LineResiduals | None:
        """Return the relative residuals as a function of the literals, from one symbolic trace.

        None if the program takes more than `fit_up_to` operations.

        Raises:
            CandidateError: the program is no straight line in its argument and its literals.
        """
        own = np.array(candidate.parameters, dtype=np.float64)
        line = trace_parameters(candidate, self.function)
        if count_operations(line.with_parameters(own.tolist())) > self.fit_up_to:
            return None
        return LineResiduals(
            line,
            own,
            target.fit_points(self.x_min, self.x_max),
            target.levelling_points(self.x_min, self.x_max),
        )

    def references(self) -> Mapping[str, Sequence[Mapping[str, float]]]:
        """Return the classical approximations, series -> points in the space of the metrics.

        At each operation count a series has its best point that costs no more. Empty for another
        interval than [0, 1].
        """
        series: dict[str, list[Mapping[str, float]]] = {}
        if (self.x_min, self.x_max) != (0.0, 1.0):
            return series
        for baseline in baselines.stored():
            series.setdefault(baseline.series, []).append(
                {
                    "operations": float(baseline.operations),
                    "digits": -math.log10(baseline.error),
                    "error": baseline.error,
                }
            )
        return series
