"""Residuals of a straight-line program as functions of its literals, for tuning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evolver.scoring.straightline.derivatives import columns, gradients
from evolver.scoring.straightline.double_double import Array
from evolver.scoring.straightline.line import StraightLine
from evolver.scoring.straightline.minimax import Levelling
from evolver.scoring.straightline.samples import Samples

SCALES = 2.0 ** (np.arange(-16, 17) / 4)  # factors on the argument
KEPT_SCALES = 2
SCALING_MISS = 1e-9  # relative; beyond it a form does not scale with its literals


@dataclass(frozen=True, eq=False)
class LineResiduals:
    """The errors of f at m points, for vectors of the n literals of f.

    Attributes:
        line: the program with its literals as "p" nodes, traced once.
        own: (n,) the program's own literals.
        fitted: the m points and the target there, where least squares are fitted: Chebyshev points
            of the first kind do well.
        levelled: where the error is levelled at the end; the interval's ends should stand slightly
            inside it, so that forms with c/x have a derivative there.
    """

    line: StraightLine
    own: Array
    fitted: Samples
    levelled: Samples

    def __call__(self, parameters: Array) -> Array:
        """Return the residuals (k, m) of the vectors (k, n)."""
        values = self.line.run(self.fitted.x, columns(parameters))[-1]
        return np.broadcast_to(self.fitted.errors(values), (len(parameters), self.fitted.x.size))

    def linearize(self, parameters: Array) -> tuple[Array, Array]:
        """Return the residuals (k, m) and their Jacobians (k, m, n), by reverse differentiation."""
        shape = (len(parameters), self.fitted.x.size)
        values = self.line.run(self.fitted.x, columns(parameters))
        residuals = np.broadcast_to(self.fitted.errors(values[-1]), shape)
        weights = np.broadcast_to(self.fitted.weights, shape)
        return residuals, gradients(self.line, values, weights, self.own.size)

    def starts(self, wanted: int, rng: np.random.Generator) -> Array:
        """Return the vectors that rescale the program's own argument best, at most `wanted`.

        An edit such as an outer square wants the inner function at x/2, so that all literals have
        to jump together. In most forms a factor on x is a factor on each literal p[i] as well,
        its power w[i], which follows from d f / d log x = sum of w[i] d f / d log p[i].
        """
        none = np.empty((0, self.own.size))
        values = self.line.run(self.fitted.x, columns(self.own[None]))
        weights = np.ones((1, self.fitted.x.size))
        (slopes,) = gradients(self.line, values, weights, self.own.size, by_x=True)
        by_literal, by_scale = slopes[:, :-1] * self.own, slopes[:, -1] * self.fitted.x
        if not np.isfinite(by_literal).all() or not np.isfinite(by_scale).all():
            return none
        powers = np.linalg.lstsq(by_literal, by_scale, rcond=1e-15)[0]
        miss = np.abs(by_literal @ powers - by_scale).max()
        if miss > SCALING_MISS * np.abs(by_scale).max() or np.abs(powers).max() > 20:
            return none
        vectors = self.own * SCALES[:, None] ** powers
        costs = (self(vectors) ** 2).sum(axis=1)
        costs = np.where(np.isfinite(costs), costs, np.inf)
        best: Array = vectors[np.argsort(costs, kind="stable")[: min(wanted, KEPT_SCALES)]]
        return best

    def refine(self, parameters: Array) -> Array:
        """Return the vector (n,) with the smallest largest error that is reached from (k, n)."""
        return Levelling(self.line, self.levelled).refine(parameters)
